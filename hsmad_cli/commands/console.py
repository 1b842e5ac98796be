"""What a verb tells people, on stderr, and programs, as JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Protocol

STDOUT = "-"
PERCENT = "{desc}: {percentage:3.0f}%|{bar}| {elapsed}<{remaining}"


class Bar(Protocol):
    """What moves on, such as tqdm's."""

    def update(self, n: float = 1) -> object: ...


class Progress:
    """A bar from 0 to 1 over named parts of equal length; `follow` is what the library calls."""

    def __init__(self, bar: Bar, parts: int) -> None:
        self.bar, self.parts = bar, parts
        self.done: dict[str, float] = {}

    def follow(self, part: str, done: int, total: int) -> None:
        share = done / total
        self.bar.update((share - self.done.get(part, 0.0)) / self.parts)
        self.done[part] = share


@dataclass(frozen=True)
class Console:
    """The voice of one run of `verb`: -q leaves warnings and errors only, -v adds details, --json adds the report."""

    verb: str
    as_json: bool = False
    quiet: bool = False
    verbose: bool = False

    def say(self, text: str) -> None:
        if not self.quiet:
            _to_stderr(text)

    def detail(self, text: str) -> None:
        if self.verbose:
            _to_stderr(text)

    def warn(self, text: str) -> None:
        _to_stderr(f"hsmad {self.verb}: {text}")

    def report(self, values: Mapping[str, Any], stdout_taken: bool = False) -> None:
        """With --json, one JSON object on a line of stdout, or of stderr when stdout carries the data."""
        if self.as_json:
            line = json.dumps(values, ensure_ascii=False, allow_nan=False)
            print(line, file=sys.stderr if stdout_taken else sys.stdout, flush=True)

    def warn_clipped(self, name: str, clipped: int, n_samples: int) -> None:
        if clipped:
            self.warn(f"{name}: {clipped} of {n_samples} samples clipped; try --gain -3")

    @contextmanager
    def progress(self, description: str, total: float | None = None, layout: str | None = None) -> Iterator[Bar]:
        """A progress bar on stderr; nothing is drawn when stderr is no terminal, or with -q."""
        from tqdm import tqdm

        hidden = self.quiet or not sys.stderr.isatty()
        with tqdm(
            total=total, desc=description, disable=hidden, leave=False, file=sys.stderr, bar_format=layout
        ) as bar:
            yield bar

    @contextmanager
    def following(self, description: str, parts: int = 1) -> Iterator[Progress]:
        """A progress bar for a library call that reports (part, done, total), in so many parts."""
        with self.progress(description, 1.0, PERCENT) as bar:
            yield Progress(bar, parts)


def print_error(verb: str | None, message: str, hint: str | None, exit_code: int) -> int:
    """One error as one line, then its hint; returns `exit_code`."""
    one_line = " ".join(message.split())
    _to_stderr(f"hsmad {verb}: {one_line}" if verb else f"hsmad: {one_line}")
    if hint:
        _to_stderr(f"  hint: {hint}")
    return exit_code


def _to_stderr(text: str) -> None:
    with suppress(BrokenPipeError):
        print(text, file=sys.stderr, flush=True)
