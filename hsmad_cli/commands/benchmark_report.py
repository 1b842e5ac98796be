"""What the verbs that make tables of quality tell while they run, and how they write what they found."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hsmad_cli.commands.console import STDOUT, Console
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

    def figures(self, kind: str, about: dict[str, Any], table: list[Row]) -> dict[str, Any]:
        """The JSON object: `table` and `clips`, and what they are of."""
        wall_s = time.perf_counter() - self.began
        return {"kind": kind, **about, "table": table, "clips": self.rows, "failed": self.failures, "wall_s": wall_s}


def targets_of(output: str | None, markdown: Path | None, as_json: bool) -> list[str]:
    """Where the figures go: -o, and stdout with --json or, unless it is a terminal, without -o. Folders must exist."""
    for path in (output, markdown):
        if path is not None and not Path(path).parent.is_dir():
            raise OutputError(f"{path}: no such folder")
    to_stdout = as_json or (output is None and not sys.stdout.isatty())
    return list(dict.fromkeys(([output] if output else []) + ([STDOUT] if to_stdout else [])))


def write_report(
    console: Console, figures: dict[str, Any], table: str, targets: list[str], markdown: Path | None
) -> None:
    """The table, in Markdown, for people; all figures for the targets."""
    from hsmad_cli.files.publish import write_output

    console.say(table)
    if markdown is not None:
        write_output(markdown, f"{table}\n".encode())
    for target in targets:
        write_output(target, (json.dumps(figures, ensure_ascii=False, allow_nan=False) + "\n").encode())
