"""Writes the gallery's README.md from the scores of its clips: `python index.py OPTIONS < scores.jsonl`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

HEAD = """# Gallery

What the shipped weights play at the defaults of `hsmad sample`: ten seconds of each example score in the styles that
are named, `make -C examples gallery`. Nothing was picked: seed 0 each time. Onset F1 at 50 ms is Basic Pitch's; the
same judge's for the score's own instruments, as the soundfont in pretty_midi plays them, is in the last column: how
well a score can be heard depends on who plays it, so a style can be above it.

| score | style | command, in this folder | onset F1 | soundfont |
|---|---|---|---|---|"""


def row(scores: dict, options: str) -> str:
    """The line of the table for a clip SCORE-STYLE.ogg."""
    file = Path(scores["name"]).name
    score, _, style = Path(file).stem.partition("-")
    words = style.replace("_", " ")
    command = f'hsmad sample ../{score}.mid --style "{words}" {options} -o {file}'
    f1, ceiling = (each["onset"]["f1"] for each in (scores["generated"], scores["ceilings"]["reference"]))
    title = score.replace("_", " ")
    return f"| [{title}](../{score}.mid) | [{words}]({file}) | `{command}` | {f1:.2f} | {ceiling:.2f} |"


if __name__ == "__main__":
    lines = [json.loads(line) for line in sys.stdin]
    print(HEAD, *(row(line, sys.argv[1]) for line in lines if "name" in line), sep="\n")
