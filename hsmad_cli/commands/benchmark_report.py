"""What the verbs that make tables of quality tell while they run, and how they write what they found."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hsmad_cli.commands.console import STDOUT, Console
from hsmad_cli.commands.jobs import check_target
from hsmad_cli.errors import HsmadError, OutputError

if TYPE_CHECKING:
    from hsmad_cli.evaluation.benchmark import Clip, Row


@dataclass
class Report:
    """What is told of a run while it goes on, and what is kept of it."""

    console: Console
    n_expected: int
    rows: list[Row] = field(default_factory=list)
    failures: list[dict[str, str]] = field(default_factory=list)
    n_done: int = 0
    began: float = field(default_factory=time.perf_counter)

    def done(self, clip: Clip, rows: list[Row]) -> None:
        self.n_done += 1
        count = f"{self.n_done} of {self.n_expected}"
        if not sys.stderr.isatty():
            self.console.say(count)
            return
        f1 = ", ".join(f"{role} {value:.3f}" for role, value in rows[-1]["onset_f1"].items())
        self.console.say(f"{count}: {' '.join((clip.kind, clip.name, clip.shift)).strip()}: {f1}")

    def failed(self, name: str, error: HsmadError) -> None:
        self.console.warn(f"{name}: {error}")
        self.failures.append({"clip": name, "reason": str(error)})

    @contextmanager
    def kept_by(self, write: Callable[[], None]) -> Iterator[None]:
        """After the block, also after one that fails, `write` keeps the rows; its error never hides the block's."""
        try:
            yield
        except BaseException:
            try:
                self._keep(write)
            except (HsmadError, OSError) as error:
                self.console.warn(f"the figures so far are lost: {error}")
            raise
        self._keep(write)

    def _keep(self, write: Callable[[], None]) -> None:
        if self.rows:
            write()

    def figures(self, kind: str, about: dict[str, Any], table: list[Row]) -> dict[str, Any]:
        """The JSON object: `table` and `clips`, and what they are of."""
        wall_s = time.perf_counter() - self.began
        return {"kind": kind, **about, "table": table, "clips": self.rows, "failed": self.failures, "wall_s": wall_s}


def targets_of(output: str | None, markdown: Path | None, as_json: bool) -> list[str]:
    """Where the figures go: -o, and stdout with --json or, unless it is a terminal, without -o.

    Raises OutputError for what could not be written in the end.
    """
    for path in (output, markdown):
        if path is not None:
            if Path(path).is_dir():
                raise OutputError(f"{path}: is a folder", "name a file in it")
            check_target(str(path), force=True)
    to_stdout = as_json or (output is None and not sys.stdout.isatty())
    return list(dict.fromkeys(([output] if output else []) + ([STDOUT] if to_stdout else [])))


def write_report(
    console: Console, figures: dict[str, Any], table: str, targets: list[str], markdown: Path | None
) -> None:
    """The table, in Markdown, for people; all figures for the targets, null for those that are not finite."""
    from hsmad_cli.files.publish import write_output

    console.say(table)
    if markdown is not None:
        write_output(markdown, f"{table}\n".encode())
    for target in targets:
        write_output(target, (json.dumps(_finite(figures), ensure_ascii=False, allow_nan=False) + "\n").encode())


def _finite(value: Any) -> Any:
    """The same tree with None for numbers that JSON does not have."""
    if isinstance(value, Mapping):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not isfinite(value) else value
