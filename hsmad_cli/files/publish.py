"""Every write of hsmad: a file appears whole or not at all.

A temporary file in the same folder is written, synced and renamed, and the folder is synced, so that a crash at any
moment leaves the old file or the new one. `-` is stdout; devices and named pipes are written in place.
"""

from __future__ import annotations

import errno
import os
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from hsmad_cli.errors import OutputError

STDOUT = "-"


def check_absent(path: Path, force: bool = False) -> None:
    """Refuse a path that exists already, unless `force`; verbs call this before the work that fills it."""
    if path.is_dir():
        raise OutputError(f"{path}: is a folder", "name a file, or use --out-dir")
    if path.is_file() and not force:
        raise OutputError(f"{path}: exists already", "--force replaces it")


@contextmanager
def publish(path: Path, force: bool = True) -> Iterator[BinaryIO]:
    """A binary file, readable and seekable, that becomes `path` when the block ends without an exception.

    The block should do nothing but write: each OSError in it is raised as OutputError. BrokenPipeError passes through.
    """
    check_absent(path, force)
    with _output_errors(path):
        if path.exists() and not path.is_file():
            with open(path, "wb") as device:
                yield device
            return
        final = Path(os.path.realpath(path))
        temporary = final.with_name(f".{final.name[:200]}.{secrets.token_hex(4)}.part")
        try:
            with open(temporary, "x+b") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, final)
        except BaseException:
            with suppress(OSError):
                temporary.unlink()
            raise
        sync_folder(final.parent)


def write_bytes(path: Path, data: bytes, force: bool = True) -> None:
    """Publish `data` as the whole content of `path`."""
    with publish(path, force) as file:
        file.write(data)


def write_output(target: Path | str, data: bytes, force: bool = True) -> None:
    """Publish `data` as the file `target`, or write it to stdout when `target` is `-`.

    Stdout is opened anew with a buffer: under PYTHONUNBUFFERED its own takes a part of the data and says nothing.
    """
    if str(target) != STDOUT:
        write_bytes(Path(target), data, force)
        return
    with _output_errors("stdout"):
        sys.stdout.flush()
        with open(sys.stdout.fileno(), "wb", closefd=False) as stdout:
            stdout.write(data)


def append_line(path: Path, line: str) -> None:
    """Add one line to a log. The only write that is not whole or absent: its reader must bear a last line cut short."""
    with _output_errors(path), open(path, "a", encoding="utf-8") as file:
        file.write(line + "\n")


def sync_folder(folder: Path) -> None:
    """Make a rename in `folder` durable, where the system can."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        with suppress(OSError):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _output_errors(name: Path | str) -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        hint = "free some space, or write elsewhere" if full else None
        raise OutputError(f"{name}: cannot write: {error.strerror or error}", hint) from error
