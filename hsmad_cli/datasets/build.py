"""Builds a clip bank on many cores: workers write audio into one mapped file, and hand back all else."""

from __future__ import annotations

import functools
import hashlib
import math
import secrets
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from hsmad_cli.config import canonical_json
from hsmad_cli.datasets.factory import VERSION, Engines, FactoryOptions, Plan, clip_of
from hsmad_cli.datasets.manifest import choose, read_manifest
from hsmad_cli.datasets.shards import TABLE, Shards
from hsmad_cli.datasets.sheets import Rates, Sheet, sheet_of
from hsmad_cli.datasets.workers import in_order
from hsmad_cli.errors import InputError, OutputError
from hsmad_cli.processes import available_cores
from hsmad_cli.synth.soundfonts import find_soundfont

Progress = Callable[[int, int], None]

_PACKAGE = Path(__file__).parents[1]


def build_bank(
    source: str | Path,
    soundfonts: Sequence[str | Path] = (),
    hours: float = 1.0,
    seed: int = 0,
    workers: int | None = None,
    cache_dir: str | Path = "cache",
    splits: Sequence[str] = ("train",),
    tiers: Sequence[str] = ("A",),
    options: FactoryOptions | None = None,
    rates: Rates | None = None,
    progress: Progress | None = None,
) -> Path:
    """The folder of a clip bank of `hours` of music, made in `cache_dir` unless it is there already.

    source: a manifest, a folder with one, or a MIDI pack; a folder of shards, all of whose clips make the bank; or a
    finished bank, which is returned as it is. soundfonts: to draw from, each as often as it is named (default: the best
    one installed). workers: processes (default: one a core); the bank does not depend on it. progress is called with
    (clips done, clips in all). Raises InputError, OutputError.
    """
    source, workers = Path(source), workers or available_cores()
    if (source / "bank.json").is_file():
        return source
    if (source / TABLE).is_file():
        shards = Shards(source)
        fill = functools.partial(_fill_from_shards, shards=shards, workers=workers, progress=progress)
        return _published(Path(cache_dir) / f"bank-{shards.tree_hash[:12]}", fill)
    rates = rates or Rates()
    plan = make_plan(source, soundfonts, hours, seed, splits, tiers, options or FactoryOptions())
    fill = functools.partial(_fill, plan=plan, rates=rates, workers=workers, progress=progress)
    return _published(Path(cache_dir) / f"bank-{digest(plan, rates)}", fill)


def _published(folder: Path, fill: Callable[[Path], None]) -> Path:
    """The folder of a bank, filled under another name and then renamed, unless it is there."""
    if (folder / "bank.json").is_file():
        return folder
    part = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}.part")
    try:
        part.mkdir(parents=True)
        fill(part)
        if not folder.exists():
            part.rename(folder)
    except OSError as error:
        raise OutputError(f"{folder}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return folder


def make_plan(
    source: str | Path,
    soundfonts: Sequence[str | Path],
    hours: float,
    seed: int,
    splits: Sequence[str],
    tiers: Sequence[str],
    options: FactoryOptions,
) -> Plan:
    """What a bank is made of: at least one clip, or as many siblings."""
    if options.siblings < 1:
        raise InputError(f"siblings is {options.siblings}", "1 is a clip of each excerpt, 16 are sixteen in a row")
    items = choose(read_manifest(source), splits, tiers)
    fonts = tuple(str(find_soundfont(font)) for font in (soundfonts or (None,)))
    n_excerpts = max(math.ceil(hours * 3600 / options.seconds / options.siblings), 1)
    return Plan(tuple(items), fonts, n_excerpts * options.siblings, seed, options)


def digest(plan: Plan, rates: Rates) -> str:
    """Twelve hex digits that differ when anything that decides the clips differs (paths apart)."""
    files = [[Path(font).name, Path(font).stat().st_size] for font in plan.soundfonts]
    items = [
        [item.id, item.genre, item.caption, item.chords is not None, *(["recorded"] if item.audio else [])]
        for item in plan.items
    ]
    what = {
        "version": VERSION, "items": items, "soundfonts": files, "n_clips": plan.n_clips, "seed": plan.seed,
        "options": asdict(plan.options), "rates": asdict(rates),
        "tables": [path.read_text("utf-8") for path in _tables()],
    }  # fmt: skip
    return hashlib.sha256(canonical_json(what).encode()).hexdigest()[:12]


def _tables() -> list[Path]:
    """The data files of the factory: recipes, instruments and words."""
    return [table for part in ("datasets", "symbolic") for table in sorted((_PACKAGE / part).glob("*.toml"))]


def _fill(folder: Path, plan: Plan, rates: Rates, workers: int, progress: Progress | None) -> None:
    """A bank of the clips of a plan."""
    unit = rates.hop_length * rates.multiple
    n_samples = plan.options.n_samples // unit * unit
    path = _allocate(folder / "audio.npy", (plan.n_clips * n_samples, 2), np.int16)
    _finish(folder, functools.partial(_Worker, plan, rates, path), plan.n_clips, rates, workers, progress)


def _fill_from_shards(folder: Path, shards: Shards, workers: int, progress: Progress | None) -> None:
    """A bank of the clips of shards, its audio empty where they hold latents."""
    table = shards.table
    n_samples = len(shards) * table.samples_per_clip
    if table.codec_sha256 is None:
        path = _allocate(folder / "audio.npy", (n_samples, 2), np.int16)
    else:
        _allocate(folder / "audio.npy", (0, 2), np.int16)
        latents = shards[0].latents
        width = 0 if latents is None else latents.shape[1]
        path = _allocate(folder / "latents.npy", (n_samples // table.rates.hop_length, width), np.float16)
    start = functools.partial(_Unpacker, shards.folder, path)
    _finish(folder, start, len(shards), table.rates, workers, progress, table.codec_sha256)


def _allocate(path: Path, shape: tuple[int, int], dtype: type[np.generic]) -> Path:
    """An npy file of zeros."""
    n_bytes, free = math.prod(shape) * np.dtype(dtype).itemsize, shutil.disk_usage(path.parent).free
    if n_bytes > free:
        raise OutputError(f"{path.parent}: the bank takes {n_bytes / 1e9:.1f} GB, {free / 1e9:.1f} GB are free")
    if n_bytes:
        np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape).flush()
    else:
        np.save(path, np.zeros(shape, dtype))
    return path


def _finish(
    folder: Path,
    start: Callable[[], Callable[[int], Sheet]],
    n_clips: int,
    rates: Rates,
    workers: int,
    progress: Progress | None,
    codec_sha256: str | None = None,
) -> None:
    """Makes all clips, whose sound `start()(clip)` writes itself, then the other columns, and last the table."""
    from hsmad_cli.datasets.memory import columns_of, counts_of, texts_of, write_table

    sheets = []
    for sheet in in_order(start, range(n_clips), min(workers, n_clips)):
        sheets.append(sheet)
        if progress is not None:
            progress(len(sheets), n_clips)
    for name, column in columns_of(sheets).items():
        np.save(folder / f"{name}.npy", column, allow_pickle=False)
    write_table(folder, counts_of(sheets), texts_of(sheets), rates, codec_sha256)


class _Worker:
    """A process that makes clips, whose audio goes into the mapped file."""

    def __init__(self, plan: Plan, rates: Rates, audio_path: Path) -> None:
        self.make = ClipMaker(plan, rates)
        self.audio = np.load(audio_path, mmap_mode="r+")

    def __call__(self, index: int) -> Sheet:
        sheet, audio = self.make(index)
        start = index * sheet.n_samples
        self.audio[start : start + sheet.n_samples] = audio
        return sheet


class ClipMaker:
    """Makes clips of a plan, also such beyond their number: sheet and audio int16 [n, 2]. Soundfonts stay loaded."""

    def __init__(self, plan: Plan, rates: Rates) -> None:
        self.plan, self.rates = plan, rates
        self.engines = Engines(plan.options.sample_rate)

    def __call__(self, index: int) -> tuple[Sheet, np.ndarray]:
        clip = clip_of(self.plan, index, self.engines)
        sheet = sheet_of(clip, self.rates)
        return sheet, np.ascontiguousarray(clip.audio[:, : sheet.n_samples].T)


class _Unpacker:
    """A process that copies clips from shards: their sound goes into the mapped file of audio or of latents."""

    def __init__(self, folder: Path, sound_path: Path) -> None:
        self.shards = Shards(folder)
        self.sound = np.load(sound_path, mmap_mode="r+")

    def __call__(self, index: int) -> Sheet:
        sample = self.shards[index]
        sounding = sample.audio if sample.latents is None else sample.latents
        length = len(self.sound) // len(self.shards)
        if sounding is None or len(sounding) != length:
            raise InputError(f"{self.shards.folder}: clip {index} is not {length} long")
        self.sound[index * length : (index + 1) * length] = sounding
        return sample.sheet
