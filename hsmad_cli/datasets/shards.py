"""Shards: tar files of samples that the webdataset library reads, each with an index of where every member lies.

A folder of shards holds shards.json (what they are made of), clips-000000.tar, clips-000000.index.json, and so on. A
shard is there once its index is. Nothing in them depends on when, where or by whom they were written.
"""

from __future__ import annotations

import hashlib
import json
import tarfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from hsmad_cli.config import canonical_json
from hsmad_cli.datasets.samples import Sample, unpack
from hsmad_cli.datasets.sheets import Rates
from hsmad_cli.errors import InputError, OutputError
from hsmad_cli.files.publish import publish, write_bytes

VERSION = 1
TABLE = "shards.json"
_BLOCK = 2**24


@dataclass(frozen=True)
class ShardTable:
    """What a folder of shards is made of: the content of shards.json.

    recipe: a hash of all that decides the clips. sound: extension of the sound's member. samples_per_clip: length of
    each. about: what people want to know. codec_sha256: of the codec that made latents, or None.
    """

    recipe: str
    n_clips: int
    clips_per_shard: int
    sound: str
    samples_per_clip: int
    rates: Rates
    about: Mapping[str, Any]
    codec_sha256: str | None = None

    @property
    def n_shards(self) -> int:
        return -(-self.n_clips // self.clips_per_shard)

    def clips_of(self, shard: int) -> range:
        """The clips of a shard."""
        first = shard * self.clips_per_shard
        return range(first, min(first + self.clips_per_shard, self.n_clips))

    def to_bytes(self) -> bytes:
        return canonical_json({"version": VERSION, **asdict(self)}).encode()

    def publish(self, folder: Path) -> None:
        """Write the table into a folder; raises OutputError if it holds shards of something else."""
        path = folder / TABLE
        if path.is_file():
            if path.read_bytes() != self.to_bytes():
                raise OutputError(f"{folder}: holds shards of other data or options", "name another folder")
            return
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"{folder}: cannot make the folder: {error.strerror}") from error
        write_bytes(path, self.to_bytes())

    @classmethod
    def read(cls, folder: Path) -> ShardTable:
        """The table of a folder; raises InputError."""
        path = folder / TABLE
        values = _read_json(path)
        if values.pop("version", None) != VERSION:
            raise InputError(f"{path}: not of version {VERSION}", "build the shards anew")
        try:
            rates = values.pop("rates")
            return cls(**values, rates=Rates(**{**rates, "ratios": tuple(rates["ratios"])}))
        except (KeyError, TypeError) as error:
            raise InputError(f"{path}: not a table of shards: {error!r}") from error


def _read_json(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise InputError(f"{path}: not JSON: {error}") from error
    if not isinstance(values, dict):
        raise InputError(f"{path}: not a JSON object")
    return values


def tar_path(folder: Path, shard: int) -> Path:
    return folder / f"clips-{shard:06d}.tar"


def index_path(folder: Path, shard: int) -> Path:
    return folder / f"clips-{shard:06d}.index.json"


def write_shard(folder: Path, shard: int, samples: Iterable[tuple[str, Mapping[str, bytes]]]) -> None:
    """Publish a shard of (key, members by extension), then its index; what a killed writer left of it goes first."""
    path = tar_path(folder, shard)
    for name in (path.name, index_path(folder, shard).name):
        for torn in folder.glob(f".{name}.*.part"):
            torn.unlink(missing_ok=True)
    with publish(path) as file:
        with tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as tar:
            places = [_add(tar, key, members) for key, members in samples]
        index = {"bytes": file.tell(), "sha256": _sha256(file), "samples": places}
    write_bytes(index_path(folder, shard), canonical_json(index).encode())


def _add(tar: tarfile.TarFile, key: str, members: Mapping[str, bytes]) -> dict[str, Any]:
    """Where each member of a sample begins, its size and crc32. Headers have no owner, mode 644 and time 0."""
    places: dict[str, Any] = {"key": key}
    for extension, data in members.items():
        header = tarfile.TarInfo(f"{key}.{extension}")
        header.size = len(data)
        places[extension] = [tar.offset + tarfile.BLOCKSIZE, len(data), zlib.crc32(data)]
        tar.addfile(header, BytesIO(data))
    return places


def _sha256(file: BinaryIO) -> str:
    file.seek(0)
    digest = hashlib.sha256()
    while block := file.read(_BLOCK):
        digest.update(block)
    return digest.hexdigest()


def is_finished(folder: Path, shard: int) -> bool:
    """Whether a shard is there."""
    return index_path(folder, shard).is_file() and tar_path(folder, shard).is_file()


def missing_shards(folder: Path, table: ShardTable) -> list[int]:
    return [shard for shard in range(table.n_shards) if not is_finished(folder, shard)]


def tree_hash(folder: Path, table: ShardTable) -> str:
    """sha256 over the table and all indices, which hold the sha256 of their tar files; raises InputError."""
    found = hashlib.sha256(table.to_bytes())
    for shard in range(table.n_shards):
        found.update(canonical_json(_read_json(index_path(folder, shard))).encode())
    return found.hexdigest()


class Shards:
    """The clips of a finished folder of shards, each read on its own: len(shards), shards[17], shards.stream(...)."""

    def __init__(self, folder: str | Path) -> None:
        """Raises InputError if a shard is missing, or is not as long as its index says."""
        self.folder = Path(folder)
        self.table = ShardTable.read(self.folder)
        missing = missing_shards(self.folder, self.table)
        if missing:
            raise InputError(
                f"{self.folder}: {len(missing)} of {self.table.n_shards} shards are missing, the first is {missing[0]}",
                "build the rest with the same command",
            )
        self._places = [place for shard in range(self.table.n_shards) for place in self._index(shard)]
        if len(self._places) != self.table.n_clips:
            raise InputError(f"{self.folder}: {len(self._places)} clips, {self.table.n_clips} expected")

    def _index(self, shard: int) -> Iterator[tuple[Path, dict[str, Any]]]:
        index, path = _read_json(index_path(self.folder, shard)), tar_path(self.folder, shard)
        if path.stat().st_size != index["bytes"]:
            size = path.stat().st_size
            raise InputError(f"{path}: {size} bytes, its index says {index['bytes']}", "delete it and build it anew")
        yield from ((path, place) for place in index["samples"])

    @property
    def tree_hash(self) -> str:
        return tree_hash(self.folder, self.table)

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, clip: int) -> Sample:
        """A clip; raises InputError if it is damaged."""
        path, place = self._places[clip]
        members = {}
        with open(path, "rb") as file:
            for name, (start, size, crc32) in ((name, at) for name, at in place.items() if name != "key"):
                file.seek(start)
                members[name] = file.read(size)
                if zlib.crc32(members[name]) != crc32:
                    raise InputError(f"{path}: {place['key']}.{name} is damaged", "delete it and build it anew")
        return unpack(members, f"{path}: {place['key']}")

    def stream(self, seed: int, position: int = 0) -> Iterator[Sample]:
        """Clips without end, each pass over all in an order of its own, from `position` (clips seen before) on.

        Equal arguments give equal streams: a run that stops after n clips goes on with position n.
        """
        while True:
            epoch, first = divmod(position, len(self))
            for clip in np.random.default_rng([seed, epoch]).permutation(len(self))[first:]:
                yield self[int(clip)]
                position += 1
