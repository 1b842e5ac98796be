"""hsmad styles: words that --style understands."""

from __future__ import annotations

from itertools import chain
from typing import Annotated

import typer

from hsmad_cli.commands import options
from hsmad_cli.commands.console import Console
from hsmad_cli.commands.prompt_words import UnknownWords, learnt_names, with_suggestions


def styles(
    text: Annotated[str | None, typer.Argument(metavar="[TEXT]", help="A prompt to check.", show_default=False)] = None,
    weights: options.Weights = None,
    as_json: options.Json = False,
) -> None:
    """List the words that --style has learnt, or check a prompt.

    Without TEXT: styles, instruments, places and more, as far as these weights were trained on them; a line says what
    one is called, the usual name first. With TEXT: the words of it that the style encoder never saw.
    """
    from hsmad_cli.pipeline import Pipeline

    console = Console("styles", as_json)
    unknown_words = Pipeline.load(weights, "cpu").style.unknown_words
    if text is not None:
        _check(console, text, unknown_words)
        return
    learnt = learnt_names(unknown_words)
    console.report({group: list(dict.fromkeys(chain.from_iterable(things))) for group, things in learnt.items()})
    if not as_json:
        print("\n\n".join("\n".join([group, *map(_line, things)]) for group, things in learnt.items()))


def _line(names: tuple[str, ...]) -> str:
    usual, *others = names
    return f"  {usual}: {', '.join(others)}" if others else f"  {usual}"


def _check(console: Console, text: str, unknown_words: UnknownWords) -> None:
    unknown = unknown_words(text)
    console.report({"text": text, "unknown_words": unknown})
    if not console.as_json:
        print(f"never seen: {with_suggestions(unknown, unknown_words)}" if unknown else "all words are known")
