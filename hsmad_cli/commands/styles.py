"""hsmad styles: words that --style understands."""

from __future__ import annotations

import itertools
from typing import Annotated

import typer

from hsmad_cli.commands import options
from hsmad_cli.commands.console import Console


def styles(
    text: Annotated[str | None, typer.Argument(metavar="[TEXT]", help="A prompt to check.", show_default=False)] = None,
    weights: options.Weights = None,
    as_json: options.Json = False,
) -> None:
    """List the words that --style has learnt, or check a prompt.

    Without TEXT: styles, instruments, places and more by group, as far as these weights were trained on them.
    With TEXT: the words of it that the style encoder never saw.
    """
    from hsmad_cli.pipeline import Pipeline

    console = Console("styles", as_json)
    unknown_words = Pipeline.load(weights, "cpu").style.unknown_words
    if text is not None:
        _check(console, text, unknown_words(text))
        return
    learnt = {name: [text for text in phrases if not unknown_words(text)] for name, phrases in _lexicon().items()}
    groups = {name: phrases for name, phrases in learnt.items() if phrases}
    console.report(groups)
    if not as_json:
        for group, phrases in groups.items():
            print(f"{group}: {', '.join(phrases)}")


def _lexicon() -> dict[str, list[str]]:
    """All phrases that captions are made of, by group, each once."""
    from hsmad_cli.datasets.recipes import recipes
    from hsmad_cli.symbolic.instruments import instruments
    from hsmad_cli.symbolic.words import words

    tables = {name: table.values() for name, table in words().items() if isinstance(table, dict)}
    lists = {
        "styles": [recipe.words for recipe in recipes()],
        "instruments": [instrument.names for instrument in instruments()],
        **tables,
    }
    return {name: list(dict.fromkeys(itertools.chain.from_iterable(phrases))) for name, phrases in lists.items()}


def _check(console: Console, text: str, unknown: list[str]) -> None:
    console.report({"text": text, "unknown_words": unknown})
    if not console.as_json:
        print(f"never seen: {', '.join(unknown)}" if unknown else "all words are known")
