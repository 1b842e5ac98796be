"""hsmad styles: words that --style understands."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Annotated

import typer

from hsmad_cli.commands import options
from hsmad_cli.commands.console import Console
from hsmad_cli.commands.prompt_words import learnt_names, nearest_styles, with_suggestions

if TYPE_CHECKING:
    from hsmad_cli.model.style_encoder import StyleEncoder


def styles(
    text: Annotated[str | None, typer.Argument(metavar="[TEXT]", help="A prompt to check.", show_default=False)] = None,
    weights: options.Weights = None,
    as_json: options.Json = False,
) -> None:
    """List the words that --style has learnt, or check a prompt.

    Without TEXT: styles, instruments, places and more, as far as these weights were trained on them; a line says what
    one is called, the usual name first. With TEXT: the styles that it is nearest to, and how near (1 = the same), and
    the words of it that the style encoder never saw.
    """
    from hsmad_cli.pipeline import Pipeline

    console = Console("styles", as_json)
    encoder = Pipeline.load(weights, "cpu").style
    if text is not None:
        _check(console, text, encoder)
        return
    learnt = learnt_names(encoder.unknown_words)
    console.report({group: list(dict.fromkeys(chain.from_iterable(things))) for group, things in learnt.items()})
    if not as_json:
        print("\n\n".join("\n".join([group, *map(_line, things)]) for group, things in learnt.items()))


def _line(names: tuple[str, ...]) -> str:
    usual, *others = names
    return f"  {usual}: {', '.join(others)}" if others else f"  {usual}"


def _check(console: Console, text: str, encoder: StyleEncoder) -> None:
    unknown, nearest = encoder.unknown_words(text), nearest_styles(encoder, text)
    console.report({"text": text, "nearest": nearest, "unknown_words": unknown})
    if not console.as_json:
        print("nearest: " + ", ".join(f"{name} {nearness:.2f}" for name, nearness in nearest.items()))
        print(f"never seen: {with_suggestions(unknown, encoder.unknown_words)}" if unknown else "all words are known")
