"""Arrays in files: npz without pickle, with a `meta` member of JSON that says what they are.

`docs/files.md` lists the keys, dtypes, axes and units of every kind. Equal arrays and meta give equal bytes. What a
file declares about its sizes is checked before memory is taken.
"""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from math import prod
from pathlib import Path
from typing import IO, Any, BinaryIO

import numpy as np

from hsmad_cli.config import canonical_json
from hsmad_cli.errors import InputError
from hsmad_cli.files.publish import write_output

Source = Path | str | bytes | BinaryIO

VERSION = 1
META = "meta"
ZIP_MAGIC = b"PK\x03\x04"
MAX_BYTES = 8 << 30
MAX_META_BYTES = 64 << 20
DEFLATE_LEVEL = 1
OLDEST_DATE = (1980, 1, 1, 0, 0, 0)

REQUIRED = {
    "srm": ("union_onset", "union_position", "union_sustain", "union_age"),
    "latent": ("latent",),
    "features": ("event", "local", "global"),
}
READ_BY = {"srm": "hsmad sample", "latent": "hsmad decode", "features": "hsmad sample"}


def save_npz(target: Path | str, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any], force: bool = True) -> None:
    """Write arrays and meta (which has at least `kind`) as a compressed npz to a file, or to stdout for `-`."""
    write_output(target, encode_npz(arrays, meta), force)


def encode_npz(arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> bytes:
    """The bytes of an npz file; `version` is added to the meta. Raises ValueError for a missing array."""
    missing = [name for name in REQUIRED[meta["kind"]] if name not in arrays]
    if missing:
        raise ValueError(f"npz of kind {meta['kind']!r} without {missing}")
    text = np.array(canonical_json({**meta, "version": VERSION}))
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=DEFLATE_LEVEL) as archive:
        for name, array in {META: text, **arrays}.items():
            member = zipfile.ZipInfo(f"{name}.npy", OLDEST_DATE)
            member.compress_type = zipfile.ZIP_DEFLATED
            with archive.open(member, "w", force_zip64=True) as file:
                np.lib.format.write_array(file, np.asarray(array, order="C"), allow_pickle=False)
    return buffer.getvalue()


def load_npz(source: Source, kind: str, max_bytes: int = MAX_BYTES) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Arrays and meta of an npz file of this kind.

    Raises InputError if the file is no npz, is damaged, of another kind or a newer version, lacks an array, has one of
    another type or number of axes, holds non-finite numbers, or unpacks to more than `max_bytes`.
    """
    with _Archive(source) as archive:
        meta = archive.meta()
        if meta["kind"] != kind:
            raise InputError(
                f"{archive.name}: an npz of kind {meta['kind']!r}, expected {kind!r}", _reader(meta["kind"])
            )
        archive.check_total(max_bytes)
        arrays = {name: archive.array(name) for name in archive.members if name != META}
    _check_arrays(archive.name, kind, arrays)
    return arrays, meta


def npz_meta(source: Source) -> dict[str, Any]:
    """The meta of an npz file of any kind, without reading its arrays."""
    with _Archive(source) as archive:
        return archive.meta()


def _reader(kind: str) -> str | None:
    return f"`{READ_BY[kind]}` reads this kind" if kind in READ_BY else None


def source_name(source: Source) -> str:
    """What a source is called in messages."""
    return str(source) if isinstance(source, Path | str) else "stdin"


def _check_arrays(name: str, kind: str, arrays: Mapping[str, np.ndarray]) -> None:
    for key in REQUIRED[kind]:
        if key not in arrays:
            raise InputError(f"{name}: no array {key!r} in this npz of kind {kind!r}")
        array = arrays[key]
        if array.ndim != 2 or array.dtype.kind != "f":
            raise InputError(f"{name}: {key} is {array.dtype} with {array.ndim} axes, expected float with 2")
    for key, array in arrays.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise InputError(f"{name}: {key} holds {np.count_nonzero(~np.isfinite(array))} non-finite numbers")


@dataclass
class _Archive:
    """An open npz whose members are checked against their declared sizes before they are read."""

    source: Source

    def __post_init__(self) -> None:
        self.name = source_name(self.source)

    def __enter__(self) -> _Archive:
        try:
            self.zip = zipfile.ZipFile(BytesIO(self.source) if isinstance(self.source, bytes) else self.source)
        except FileNotFoundError:
            raise InputError(f"{self.name}: no such file") from None
        except OSError as error:
            raise InputError(f"{self.name}: {error.strerror or error}") from error
        except zipfile.BadZipFile as error:
            raise InputError(f"{self.name}: not an npz file, or cut short ({error})", "make it again") from error
        self.members = {info.filename.removesuffix(".npy"): info for info in self.zip.infolist()}
        return self

    def __exit__(self, *exception: object) -> None:
        self.zip.close()

    def check_total(self, max_bytes: int) -> None:
        total = sum(info.file_size for info in self.members.values())
        if total > max_bytes:
            raise InputError(f"{self.name}: declares {total / 1e9:.1f} GB of arrays, at most {max_bytes / 1e9:.1f} GB")

    def meta(self) -> dict[str, Any]:
        if META not in self.members:
            raise InputError(f"{self.name}: an npz without a meta member", "it was not written by hsmad")
        if self.members[META].file_size > MAX_META_BYTES:
            raise InputError(f"{self.name}: declares {self.members[META].file_size} bytes of meta")
        try:
            meta = json.loads(str(self.array(META)))
            kind, version = str(meta["kind"]), int(meta["version"])
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"{self.name}: the meta member is damaged ({error})") from error
        if version > VERSION:
            raise InputError(f"{self.name}: {kind} file of version {version}, this hsmad reads up to {VERSION}")
        return meta

    def array(self, key: str) -> np.ndarray:
        info = self.members[key]
        try:
            with self.zip.open(info) as file:
                return _read_array(file, info.file_size)
        except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, NotImplementedError) as error:
            raise InputError(f"{self.name}: {key} is damaged ({error})") from error


def _read_array(file: IO[bytes], declared_bytes: int) -> np.ndarray:
    version = np.lib.format.read_magic(file)
    read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran_order, dtype = read_header(file)
    if dtype.hasobject:
        raise ValueError("it holds pickled objects")
    n_bytes = prod(shape) * dtype.itemsize
    if n_bytes != declared_bytes - file.tell():
        raise ValueError(f"its header declares {n_bytes} bytes, the archive {declared_bytes - file.tell()}")
    data = bytearray(n_bytes)
    n_read = file.readinto(data)  # type: ignore[attr-defined]
    if n_read != n_bytes or file.read(1):
        raise ValueError(f"{n_read} of {n_bytes} bytes are there")
    return np.frombuffer(data, dtype).reshape(shape, order="F" if fortran_order else "C")
