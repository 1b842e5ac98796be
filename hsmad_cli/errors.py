"""Every way a command of hsmad can fail, and the exit code of each.

A library function raises one of these for something the *user* can mend; a caller's bug is a plain `ValueError`.
`__main__` prints the message as one line, then the hint, and leaves with the code.
"""

from __future__ import annotations


class HsmadError(Exception):
    """The root of the tree: one line that says what is wrong, with the numbers, and an optional hint."""

    exit_code = 1

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


def extra(name: str) -> str:
    """The hint of an error that an optional part of hsmad cures: `text`, `plot` or `judges`."""
    install = "make judges" if name == "judges" else f"pip install '.[{name}]'"
    return f"in the folder of hsmad: {install}"


class UsageError(HsmadError):
    """Options that contradict each other or name something that does not exist."""

    exit_code = 2


class InputError(HsmadError):
    """A score, sound, manifest or array file that cannot be used."""

    exit_code = 3


class ConfigError(HsmadError):
    """A preset or configuration that is malformed or inconsistent, or an installation that lacks something."""

    exit_code = 4


class WeightsError(HsmadError):
    """A checkpoint that is absent, damaged, or does not belong with the others."""

    exit_code = 5


class OutputError(HsmadError):
    """An output that cannot be written, or that exists already and was not to be replaced."""

    exit_code = 6


class NonFiniteError(HsmadError):
    """A computation that produced NaN or infinity."""

    exit_code = 7


class PartialError(HsmadError):
    """Several inputs of which some failed; the others are done."""

    exit_code = 8


class Terminated(HsmadError):
    """SIGTERM arrived; the state that had to be kept is saved."""

    exit_code = 143
