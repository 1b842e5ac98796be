"""Builds shards: each builder takes every n-th shard, skips those that are there, and makes the rest on its cores."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from hsmad_cli.config import canonical_json
from hsmad_cli.datasets.build import digest
from hsmad_cli.datasets.factory import Engines, Plan, clip_of
from hsmad_cli.datasets.samples import INT16, LATENTS, npy_bytes, pack, read_npy, sample_of
from hsmad_cli.datasets.shards import ShardTable, is_finished, write_shard
from hsmad_cli.datasets.sheets import Rates
from hsmad_cli.datasets.workers import in_order
from hsmad_cli.processes import available_cores

Encoder = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Part:
    """Part `index` of `count` equal parts of a build, counted from 0."""

    index: int = 0
    count: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.index < self.count:
            raise ValueError(f"part {self.index} of {self.count}: they are counted from 0 to {self.count - 1}")

    def of(self, n: int) -> range:
        return range(self.index, n, self.count)


def shard_table(
    plan: Plan, rates: Rates, sound: str, clips_per_shard: int, codec_sha256: str | None = None
) -> ShardTable:
    """What the shards of a plan will be; raises ValueError for latents without a codec."""
    if (sound == LATENTS) != (codec_sha256 is not None):
        raise ValueError(f"{sound} with codec {codec_sha256}")
    unit = rates.hop_length * rates.multiple
    samples_per_clip = plan.options.n_samples // unit * unit
    made_with = [digest(plan, rates), sound, clips_per_shard, codec_sha256]
    about = {
        "seed": plan.seed,
        "splits": sorted({item.split for item in plan.items}),
        "soundfonts": [Path(font).name for font in plan.soundfonts],
        "options": asdict(plan.options),
    }
    recipe = hashlib.sha256(canonical_json({"made_with": made_with}).encode()).hexdigest()
    return ShardTable(recipe, plan.n_clips, clips_per_shard, sound, samples_per_clip, rates, about, codec_sha256)


def build_shards(
    folder: Path,
    plan: Plan,
    table: ShardTable,
    part: Part = Part(),
    workers: int | None = None,
    encode: Encoder | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Make the missing shards of a part, and return how many there were to make.

    encode: audio float32 [2, n] -> latents [T, C], for a table of latents; it is called in this process, clip by clip.
    progress is called with (clips done, clips to do). Raises InputError, OutputError.
    """
    table.publish(folder)
    todo = [shard for shard in part.of(table.n_shards) if not is_finished(folder, shard)]
    clips = [clip for shard in todo for clip in table.clips_of(shard)]
    if not clips:
        return 0
    start = functools.partial(_maker, plan, table.rates, INT16 if encode else table.sound)
    made = in_order(start, clips, min(workers or available_cores(), len(clips)))
    done = 0

    def samples(shard: int) -> Iterator[tuple[str, Mapping[str, bytes]]]:
        nonlocal done
        for clip in table.clips_of(shard):
            members = next(made)
            yield f"{clip:06d}", members if encode is None else _with_latents(members, encode)
            done += 1
            if progress is not None:
                progress(done, len(clips))

    for shard in todo:
        write_shard(folder, shard, samples(shard))
    return len(todo)


def _with_latents(members: Mapping[str, bytes], encode: Encoder) -> dict[str, bytes]:
    audio = read_npy(members[INT16]).T.astype(np.float32) / 32768
    latents = npy_bytes(encode(audio).astype(np.float16))
    return {LATENTS: latents, **{name: data for name, data in members.items() if name != INT16}}


def _maker(plan: Plan, rates: Rates, sound: str) -> Callable[[int], dict[str, bytes]]:
    """What makes the members of a clip in a process whose soundfonts stay loaded."""
    engines = Engines(plan.options.sample_rate)
    items = {item.id: item for item in plan.items}

    def make(index: int) -> dict[str, bytes]:
        clip = clip_of(plan, index, engines)
        return pack(sample_of(clip, items[clip.item_id], rates), sound, rates.sample_rate)

    return make
