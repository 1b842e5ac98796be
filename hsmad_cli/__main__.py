"""The command line: run the app, turn an HsmadError into one line, one hint and its exit code.

Verbs are imported in `main`, so that Ctrl-C is met in good order while they load.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence

from hsmad_cli.errors import HsmadError, Terminated

INTERRUPTED = 130
READER_CLOSED = 141
COMPLETION = "_HSMAD_COMPLETE"


def main(argv: Sequence[str] | None = None) -> int:
    """Run `hsmad` with the arguments `argv` (default: those of the process) and return the exit code.

    0 done, 1 a bug, a worker that died or not enough memory, 2 usage, 3 input, 4 config, 5 weights, 6 output,
    7 non-finite, 8 in part, 130 interrupted, 141 the reader closed the pipe, 143 terminated.
    """
    arguments = list(sys.argv[1:] if argv is None else argv) or ["--help"]
    verb = None
    try:
        from hsmad_cli.commands.app import verb_of

        verb = verb_of(arguments)
        return _guarded(arguments, verb)
    except HsmadError as error:
        return _failed(verb, str(error), error.hint, error.exit_code)
    except KeyboardInterrupt:
        return _failed(verb, "interrupted", None, INTERRUPTED)
    except (MemoryError, RuntimeError) as error:
        if not _is_out_of_memory(error):
            raise
        return _failed(verb, "not enough memory", "try a part of the input, or --device cpu", 1)
    except BrokenPipeError:
        _silence_stdout()
        return READER_CLOSED


def _guarded(arguments: list[str], verb: str | None) -> int:
    """The exit code of a run; typer's errors end here."""
    import typer

    try:
        _run(arguments)
        sys.stdout.flush()
    except typer.Exit as leaving:
        return leaving.exit_code
    except typer.Abort as error:
        raise KeyboardInterrupt from error
    except typer.TyperException as error:
        hint = f"see hsmad {verb} --help" if verb else "see hsmad --help"
        return _failed(verb, error.format_message().replace("Value error, ", ""), hint, error.exit_code)
    return 0


def _failed(verb: str | None, message: str, hint: str | None, exit_code: int) -> int:
    from hsmad_cli.commands.console import print_error

    return print_error(verb, message, hint, exit_code)


def _run(arguments: list[str]) -> None:
    from typer.main import get_command

    from hsmad_cli.commands.app import app

    command = get_command(app)
    if COMPLETION in os.environ:
        command.main(arguments, prog_name="hsmad")
        return
    with command.make_context("hsmad", arguments) as context:
        command.invoke(context)


def _is_out_of_memory(error: BaseException) -> bool:
    """Python's own error, or one of torch's, which are RuntimeErrors known by name (CUDA) or text (CPU)."""
    named = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    return named or "can't allocate memory" in str(error)


def _silence_stdout() -> None:
    """Point stdout at nothing, so that the interpreter's last flush finds no closed pipe."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _terminate(signal_number: int, frame: object) -> None:
    raise Terminated("terminated")


def run() -> None:
    """The console script."""
    signal.signal(signal.SIGTERM, _terminate)
    sys.exit(main())


if __name__ == "__main__":
    run()
