"""hsmad styles: words that --style understands."""

from __future__ import annotations

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

    Without TEXT: styles, places and tones by group. With TEXT: the words of it that the style encoder never saw.
    """
    console = Console("styles", as_json)
    if text is not None:
        _check(console, text, weights)
        return
    groups = _groups()
    console.report(groups)
    if not as_json:
        for group, phrases in groups.items():
            print(f"{group}: {', '.join(phrases)}")


def _groups() -> dict[str, list[str]]:
    """The phrases of the lexicon by group, each once."""
    from hsmad_cli.datasets.captions import words

    tables = {name: table for name, table in words().items() if isinstance(table, dict)}
    return {
        name: list(dict.fromkeys(phrase for phrases in table.values() for phrase in phrases))
        for name, table in tables.items()
    }


def _check(console: Console, text: str, weights: str | None) -> None:
    from hsmad_cli.pipeline import Pipeline

    unknown = Pipeline.load(weights, "cpu").style.unknown_words(text)
    console.report({"text": text, "unknown_words": unknown})
    if not console.as_json:
        print(f"never seen: {', '.join(unknown)}" if unknown else "all words are known")
