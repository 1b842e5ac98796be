"""Inputs and outputs of a verb: which file goes where, and what happens when one of many is bad."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from hsmad_cli.commands.console import STDOUT, Console, print_error
from hsmad_cli.errors import HsmadError, InputError, NonFiniteError, OutputError, PartialError, UsageError

STDIN = "-"
SOUND_SUFFIXES = (".wav", ".flac", ".ogg")
HEARD_SUFFIXES = (*SOUND_SUFFIXES, ".mp3")
MAX_STDIN_BYTES = 4 << 30
T = TypeVar("T")


@dataclass(frozen=True)
class Source:
    """One input: a file, or stdin when `argument` is `-`."""

    argument: str

    @property
    def is_stdin(self) -> bool:
        return self.argument == STDIN

    @property
    def name(self) -> str:
        """What the input is called in messages."""
        return "stdin" if self.is_stdin else self.argument

    @property
    def stem(self) -> str:
        return self.name if self.is_stdin else Path(self.argument).stem

    def content(self) -> Path | bytes:
        """The path of a file that exists, or all the bytes of stdin; raises InputError."""
        if self.is_stdin:
            return self._stdin
        path = Path(self.argument)
        if not path.exists():
            raise InputError(f"{self.name}: no such file", f"looked for from {Path.cwd()}")
        if path.is_dir():
            raise InputError(f"{self.name}: is a folder", "name the files in it")
        return path

    def head(self, n_bytes: int = 4) -> bytes:
        """The first bytes, by which the kind of a file is known."""
        content = self.content()
        if isinstance(content, bytes):
            return content[:n_bytes]
        try:
            with open(content, "rb") as file:
                return file.read(n_bytes)
        except OSError as error:
            raise InputError(f"{self.name}: {error.strerror}") from error

    @cached_property
    def _stdin(self) -> bytes:
        if sys.stdin.isatty():
            raise UsageError("stdin is a terminal", "pipe a file in, or name one")
        data = sys.stdin.buffer.read(MAX_STDIN_BYTES)
        if len(data) == MAX_STDIN_BYTES:
            raise InputError(f"stdin: more than {MAX_STDIN_BYTES >> 30} GB")
        return data


@dataclass(frozen=True)
class Job:
    """One input and one output. `replace`: an existing output may be replaced. `take`: 0, 1, ... of one input."""

    source: Source
    target: str
    replace: bool = False
    take: int = 0

    @property
    def to_stdout(self) -> bool:
        return self.target == STDOUT


def sounds_in(folder: Path) -> list[Path]:
    """The sound files of a folder and of the folders in it, in order of path; none if it is not there."""
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in HEARD_SUFFIXES)


def plan_jobs(inputs: Sequence[str], output: str | None, out_dir: Path | None, suffix: str, force: bool) -> list[Job]:
    """One job for every input, by the rules of -o and --out-dir; raises UsageError when they cannot be met."""
    sources = [Source(argument) for argument in inputs]
    if sum(source.is_stdin for source in sources) > 1:
        raise UsageError("stdin (-) is named twice")
    if output is not None and out_dir is not None:
        raise UsageError("-o and --out-dir exclude each other")
    if out_dir is not None:
        return _jobs_in_folder(sources, out_dir, suffix, force)
    if len(sources) > 1 and (output is not None or not _names_itself(suffix)):
        raise UsageError(f"{len(sources)} inputs for one output", "use --out-dir FOLDER")
    if output is not None:
        return [Job(sources[0], _checked_stdout(output), replace=True)]
    if _names_itself(suffix):
        return _jobs_in_folder(sources, Path(), suffix, force)
    return [Job(sources[0], _checked_stdout(STDOUT))]


def with_takes(jobs: Sequence[Job], names: Sequence[str]) -> list[Job]:
    """Every job once for each name, which is added to the stem of its output: song.wav -> song-7.wav, song-8.wav."""
    if any(job.to_stdout for job in jobs):
        raise UsageError(f"{len(names)} outputs for stdout", "use --out-dir FOLDER")
    return [
        replace(job, target=str(Path(job.target).with_stem(f"{Path(job.target).stem}-{name}")), take=take)
        for job in jobs
        for take, name in enumerate(names)
    ]


def _names_itself(suffix: str) -> bool:
    return suffix in SOUND_SUFFIXES and sys.stdout.isatty()


def _checked_stdout(target: str) -> str:
    if target == STDOUT and sys.stdout.isatty():
        raise UsageError("binary data would go to the terminal", "name a file with -o, or pipe stdout")
    return target


def _jobs_in_folder(sources: Sequence[Source], folder: Path, suffix: str, force: bool) -> list[Job]:
    jobs = [Job(source, str(folder / (source.stem + suffix)), force) for source in sources]
    owner: dict[str, str] = {}
    for job in jobs:
        first = owner.setdefault(job.target, job.source.name)
        if first != job.source.name:
            raise UsageError(f"{first} and {job.source.name} would both become {job.target}", "rename one of them")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder}: cannot make the folder: {error.strerror}") from error
    return jobs


def check_target(target: str, force: bool) -> None:
    """Refuse, before the work that fills it, an output in no folder, or one that exists unless `force`."""
    from hsmad_cli.files.publish import check_absent

    if target == STDOUT:
        return
    path = Path(target)
    if not path.parent.is_dir():
        raise OutputError(f"{path}: no such folder", f"make {path.parent} first")
    check_absent(path, force)


def run_jobs(console: Console, jobs: Sequence[Job], work: Callable[[Job], Mapping[str, Any]]) -> None:
    """Do every job; with several, an input, number or output that is bad is named and counted, and the rest is done."""
    for_each(console, jobs, lambda job: _run_job(console, job, work))


def for_each(console: Console, items: Sequence[T], work: Callable[[T], object]) -> None:
    """Do the work for every item; with several, those that fail are reported and counted, and the rest is done."""
    failed = 0
    for item in items:
        try:
            work(item)
        except (InputError, NonFiniteError, OutputError) as error:
            if len(items) == 1:
                raise
            print_error(console.verb, str(error), error.hint, error.exit_code)
            failed += 1
    if failed:
        raise PartialError(f"{failed} of {len(items)} failed, {len(items) - failed} done")


def _run_job(console: Console, job: Job, work: Callable[[Job], Mapping[str, Any]]) -> None:
    try:
        check_target(job.target, job.replace)
        values = work(job)
    except (InputError, NonFiniteError) as error:
        raise named(error, job.source.name) from error
    if not job.to_stdout:
        console.say(job.target)
    console.report({"input": job.source.name, "output": job.target, **values}, job.to_stdout)


def named(error: HsmadError, name: str) -> HsmadError:
    """The same error, its message beginning with the input's name."""
    message = str(error)
    return error if name in message else type(error)(f"{name}: {message}", error.hint)
