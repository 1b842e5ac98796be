"""The command line as a whole: help, exit codes, errors as one line."""

from __future__ import annotations

import os
import resource
import subprocess
import sys

import pytest
import typer

from hsmad_cli import __main__, errors
from hsmad_cli.commands.app import VERBS

HELP_SECONDS = 0.4
LOAD = "import sys; from hsmad_cli.__main__ import main; code = main(['--help']); "


def test_help_imports_nothing_heavy() -> None:
    heavy = "{'torch', 'numpy', 'transformers', 'rich', 'soundfile', 'pretty_midi', 'matplotlib', 'huggingface_hub'}"
    script = LOAD + f"loaded = {heavy} & set(sys.modules); sys.exit(f'loaded {{loaded}}' if loaded else code)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "transcribe-eval" in done.stdout


def test_help_is_fast() -> None:
    """Processor seconds, which other programs on the machine do not lengthen; the best of five."""

    def seconds() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-m", "hsmad_cli", "--help"], capture_output=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    assert min(seconds() for _ in range(5)) < HELP_SECONDS


def test_no_arguments_is_help_and_version(hsmad) -> None:
    assert hsmad().out == hsmad("--help").out
    assert hsmad("--version").out == b"hsmad 0.1.0\n"


@pytest.mark.parametrize("verb", [*(verb.__name__.replace("_", "-") for verb in VERBS), "weights"])
def test_every_verb_has_help(hsmad, verb: str) -> None:
    done = hsmad(verb, "--help")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith(f"Usage: hsmad {verb}".encode())


@pytest.mark.parametrize(
    ("argv", "line"),
    [
        (["play"], "hsmad: No such command 'play'."),
        (["--loud"], "hsmad: No such option: --loud"),
        (["sample"], "hsmad sample: Missing argument 'INPUT'."),
        (["sample", "--steps", "many", "song.mid"], "hsmad sample: Invalid value for '--steps'"),
    ],
)
def test_usage_errors_are_one_line_and_a_hint(hsmad, argv: list[str], line: str) -> None:
    done = hsmad(*argv)
    assert (done.code, done.out) == (2, b"")
    first, second = done.err.splitlines()
    assert first.startswith(line)
    assert second.startswith("  hint: ")


CODES = {
    errors.UsageError: 2, errors.InputError: 3, errors.ConfigError: 4, errors.WeightsError: 5, errors.OutputError: 6,
    errors.NonFiniteError: 7, errors.PartialError: 8, errors.Terminated: 143,
}  # fmt: skip


@pytest.mark.parametrize(("error", "code"), CODES.items())
def test_every_error_has_its_exit_code(error, code: int, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    def fail(arguments: list[str]) -> None:
        raise error("song.mid: 3 of 5 things\nare wrong", "mend them")

    monkeypatch.setattr(__main__, "_run", fail)
    assert __main__.main(["sample", "song.mid"]) == code
    expected = "hsmad sample: song.mid: 3 of 5 things are wrong\n  hint: mend them\n"
    assert capsys.readouterr() == ("", expected)


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (KeyboardInterrupt(), 130, "hsmad sample: interrupted\n"),
        (typer.Abort(), 130, "hsmad sample: interrupted\n"),
        (MemoryError(), 1, "hsmad sample: not enough memory\n"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), 1, "hsmad sample: not enough memory\n"),
    ],
)
def test_what_is_no_error_of_ours(error, code, line, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    def fail(arguments: list[str]) -> None:
        raise error

    monkeypatch.setattr(__main__, "_run", fail)
    assert __main__.main(["sample", "song.mid"]) == code
    assert capsys.readouterr().err.startswith(line)


INTERRUPTED_WHILE_LOADING = """
import os, signal, sys

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs are born deaf to it

class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == sys.argv[1]:
            sys.meta_path.remove(self)
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupting())
from hsmad_cli.__main__ import run
run()
"""


@pytest.mark.parametrize("module", ["hsmad_cli.commands", "typer", "hsmad_cli.commands.weights", "typer.main"])
def test_ctrl_c_while_the_command_line_loads_is_one_line(module: str) -> None:
    script = [sys.executable, "-c", INTERRUPTED_WHILE_LOADING, module]
    done = subprocess.run(script, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "hsmad: interrupted\n")


def test_a_bug_is_a_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(arguments: list[str]) -> None:
        raise ValueError("a bug")

    monkeypatch.setattr(__main__, "_run", fail)
    with pytest.raises(ValueError, match="a bug"):
        __main__.main(["sample", "song.mid"])


def test_a_closed_pipe_is_141_and_silent() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([sys.executable, "-m", "hsmad_cli", "--help"], stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, b"")
