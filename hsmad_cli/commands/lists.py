"""Options that take several values with commas between."""

from __future__ import annotations

from math import isfinite
from typing import TypeVar

from hsmad_cli.errors import UsageError

Name = TypeVar("Name", bound=str)


def names_of(option: str, argument: str, known: tuple[Name, ...]) -> list[Name]:
    """The names in a list, each once; raises UsageError for one that is not among the known."""
    names = list(dict.fromkeys(name.strip() for name in argument.split(",")))
    for name in names:
        if name not in known:
            raise UsageError(f"{option}: {name!r} is none of {', '.join(known)}")
    return [known[known.index(name)] for name in names]


def numbers_of(option: str, argument: str) -> list[float]:
    """The finite numbers in a list, each once; raises UsageError."""
    try:
        numbers = list(dict.fromkeys(float(number) for number in argument.split(",")))
    except ValueError:
        numbers = []
    if not numbers or not all(map(isfinite, numbers)):
        raise UsageError(f"{option}: {argument!r} is no list of numbers", f"{option} 1,2,4")
    return numbers


def counts_of(option: str, argument: str, most: int) -> list[int]:
    """The whole numbers from 1 to `most` in a list, each once; raises UsageError."""
    numbers = numbers_of(option, argument)
    if any(not 1 <= number <= most or number != int(number) for number in numbers):
        raise UsageError(f"{option}: {argument!r} is no list of whole numbers from 1 to {most}")
    return [int(number) for number in numbers]
