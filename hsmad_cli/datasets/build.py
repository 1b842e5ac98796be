"""Builds a clip bank on many cores: workers write audio into one mapped file, and hand back all else."""

from __future__ import annotations

import functools
import hashlib
import math
import multiprocessing
import os
import secrets
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import numpy as np

from hsmad_cli.config import canonical_json
from hsmad_cli.datasets.factory import VERSION, Engines, FactoryOptions, Plan, clip_of
from hsmad_cli.datasets.manifest import choose, read_manifest
from hsmad_cli.datasets.sheets import Rates, Sheet, sheet_of
from hsmad_cli.errors import HsmadError, OutputError
from hsmad_cli.synth.soundfonts import find_soundfont

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
_BYTES_PER_SAMPLE = 4


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
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """The folder of a clip bank of `hours` of music, made in `cache_dir` unless it is there already.

    source: a manifest, a folder with one, a MIDI pack, or a finished bank, which is returned as it is. soundfonts: to
    draw from, each as often as it is named (default: the best one installed). workers: processes (default: one a core);
    the bank does not depend on it. progress is called with (clips done, clips in all). Raises InputError, OutputError.
    """
    if (Path(source) / "bank.json").is_file():
        return Path(source)
    options, rates = options or FactoryOptions(), rates or Rates()
    plan = make_plan(source, soundfonts, hours, seed, splits, tiers, options)
    folder = Path(cache_dir) / f"bank-{digest(plan, rates)}"
    if (folder / "bank.json").is_file():
        return folder
    part = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}.part")
    try:
        part.mkdir(parents=True)
        _fill(part, plan, rates, workers or len(os.sched_getaffinity(0)), progress)
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
    """What a bank is made of; at least one clip."""
    items = choose(read_manifest(source), splits, tiers)
    fonts = tuple(str(find_soundfont(font)) for font in (soundfonts or (None,)))
    return Plan(tuple(items), fonts, max(math.ceil(hours * 3600 / options.seconds), 1), seed, options)


def digest(plan: Plan, rates: Rates) -> str:
    """Twelve hex digits that differ when anything that decides the clips differs (paths apart)."""
    files = [[Path(font).name, Path(font).stat().st_size] for font in plan.soundfonts]
    items = [[item.id, item.genre, item.caption, item.chords is not None] for item in plan.items]
    what = {
        "version": VERSION, "items": items, "soundfonts": files, "n_clips": plan.n_clips, "seed": plan.seed,
        "options": asdict(plan.options), "rates": asdict(rates),
        "tables": [path.read_text("utf-8") for path in _tables()],
    }  # fmt: skip
    return hashlib.sha256(canonical_json(what).encode()).hexdigest()[:12]


def _tables() -> list[Path]:
    """The data files of the factory: recipes, instruments and words."""
    return sorted(Path(__file__).parent.glob("*.toml"))


def _fill(folder: Path, plan: Plan, rates: Rates, workers: int, progress: Callable[[int, int], None] | None) -> None:
    """Writes audio.npy, the other columns, and last the table."""
    from hsmad_cli.datasets.memory import columns_of, counts_of, texts_of, write_table

    unit = rates.hop_length * rates.multiple
    n_samples = plan.options.n_samples // unit * unit
    path = folder / "audio.npy"
    _check_space(folder, plan.n_clips * n_samples * _BYTES_PER_SAMPLE)
    np.lib.format.open_memmap(path, mode="w+", dtype=np.int16, shape=(plan.n_clips * n_samples, 2)).flush()
    sheets = []
    for sheet in _sheets(plan, rates, path, workers):
        sheets.append(sheet)
        if progress is not None:
            progress(len(sheets), plan.n_clips)
    for name, column in columns_of(sheets).items():
        np.save(folder / f"{name}.npy", column, allow_pickle=False)
    write_table(folder, counts_of(sheets), texts_of(sheets), rates)


def _check_space(folder: Path, n_bytes: int) -> None:
    free = shutil.disk_usage(folder).free
    if n_bytes > free:
        raise OutputError(f"{folder}: the bank takes {n_bytes / 1e9:.1f} GB, {free / 1e9:.1f} GB are free")


def _sheets(plan: Plan, rates: Rates, audio_path: Path, workers: int) -> Iterator[Sheet]:
    """The sheets of all clips in order, their audio written."""
    if workers == 1:
        worker = _Worker(plan, rates, audio_path)
        yield from map(worker.make, range(plan.n_clips))
        return
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["hsmad_cli.datasets.build"])
    workers = min(workers, plan.n_clips)
    with (
        _single_threaded(),
        ProcessPoolExecutor(workers, context, initializer=_start_worker, initargs=(plan, rates, audio_path)) as pool,
    ):
        try:
            yield from pool.map(_make, range(plan.n_clips))
        except BrokenProcessPool as error:
            raise HsmadError(f"a worker died: {error}", "for lack of memory? try fewer --workers") from error
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


@contextmanager
def _single_threaded() -> Iterator[None]:
    """Processes started meanwhile compute with one thread each."""
    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


class _Worker:
    """A process that makes clips: its soundfonts stay loaded, its audio goes into the mapped file."""

    def __init__(self, plan: Plan, rates: Rates, audio_path: Path) -> None:
        self.plan, self.rates = plan, rates
        self.engines = Engines(plan.options.sample_rate)
        self.audio = np.load(audio_path, mmap_mode="r+")

    def make(self, index: int) -> Sheet:
        clip = clip_of(self.plan, index, self.engines)
        sheet = sheet_of(clip, self.rates)
        start = index * sheet.n_samples
        self.audio[start : start + sheet.n_samples] = clip.audio[:, : sheet.n_samples].T
        return sheet


@functools.cache
def _current() -> list[_Worker]:
    return []


def _start_worker(plan: Plan, rates: Rates, audio_path: Path) -> None:
    _current().append(_Worker(plan, rates, audio_path))


def _make(index: int) -> Sheet:
    return _current()[0].make(index)
