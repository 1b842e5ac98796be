"""Fresh clips replace the oldest ones, in order, and a resumed run hears none of them twice."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from itertools import count, repeat

import numpy as np
import pytest
import torch
from test_denoiser_stage import CPU, Constant, counted_bank

from hsmad_cli.config import load_preset
from hsmad_cli.datasets.factory import Plan
from hsmad_cli.datasets.replacing import with_room
from hsmad_cli.datasets.sheets import NOTE_DTYPES, Sheet
from hsmad_cli.datasets.workers import Background
from hsmad_cli.model.vae import VAE
from hsmad_cli.training import refresh
from hsmad_cli.training.latents import encoded
from hsmad_cli.training.parallel import Workers
from hsmad_cli.training.randomness import Draw
from hsmad_cli.training.refresh import LatentClips, Refresher
from hsmad_cli.training.stages.denoiser import DenoiserStage
from hsmad_cli.training.style_table import StyleTable

N_FRAMES = 64


def sheet(n_notes: int = 1, captions: tuple[str, ...] = ("dddd",), onset_s: float = 0.4) -> Sheet:
    notes = {name: np.zeros(n_notes, dtype) for name, dtype in NOTE_DTYPES.items()}
    notes["onset_s"] += np.float32(onset_s)
    notes["offset_s"] += np.float32(onset_s + 0.2)
    notes["pitch"] += np.int16(72)
    nothing = np.zeros(0, np.float32)
    chord, key, tempo = np.zeros(16, np.int8), np.zeros(4, np.int8), np.zeros(4, np.float32)
    return Sheet(882 * N_FRAMES, notes, nothing, nothing, chord, key, tempo, captions, (), "new", "own", "")


class Pile:
    """Stands in for the background: what lies on it is ready."""

    def __init__(self, start: partial, jobs: count, workers: int) -> None:
        self.jobs, self.ready = jobs, []

    def take(self) -> tuple[Sheet, np.ndarray] | None:
        return self.ready.pop(0) if self.ready else None

    def close(self) -> None:
        self.ready.clear()


class Slots:
    """Stands in for the clips of a stage; a clip of more than one note does not suit."""

    def __init__(self) -> None:
        self.bank = with_room(counted_bank().select([1, 1, 1]))
        self.taken: list[tuple[int, str]] = []

    def suits(self, sheet: Sheet) -> bool:
        return len(sheet.notes["pitch"]) == 1

    def put(self, clip: int, sheet: Sheet, audio: np.ndarray) -> None:
        self.taken.append((clip, sheet.captions[0]))


def test_the_oldest_clip_goes_first_and_one_in_a_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refresh, "Background", Pile)
    slots = Slots()
    refresher = Refresher(slots, Plan((), (), 100, 0), Workers(CPU, rank=1, world=4), 2)
    refresher.poll(30)
    assert [next(refresher.background.jobs) for _ in range(3)] == [100 + 120 + 1, 225, 229]
    sound = np.zeros((882 * N_FRAMES, 2), np.int16)
    refresher.background.ready = [(sheet(captions=(str(n),)), sound) for n in range(4)]
    refresher.background.ready.insert(2, (sheet(n_notes=2), sound))
    for step in range(31, 40):
        refresher.poll(step)
    assert slots.taken == [(0, "0"), (1, "1"), (2, "2"), (0, "3")]
    assert (refresher.taken, refresher.left_out) == (4, 1)


def refreshable_stage() -> DenoiserStage:
    bank = with_room(counted_bank().select([1, 1]))
    return DenoiserStage(load_preset("tiny"), bank, StyleTable.of(Constant(), [["a", "bb"], ["ccc"]], CPU))


def test_a_fresh_clip_is_encoded_and_all_of_it_takes_the_place() -> None:
    trained = refreshable_stage()
    codec = VAE(load_preset("tiny").codec).eval()
    clips = LatentClips(trained, codec, Constant())
    audio = np.random.default_rng(0).integers(-9000, 9000, (882 * N_FRAMES, 2)).astype(np.int16)
    before = trained.batch(3, Draw(0, 3))
    clips.put(0, sheet(), audio)
    clips.put(1, sheet(captions=("e" * 5, "f" * 5, "g" * 9)), audio)
    after = trained.batch(3, Draw(0, 3))
    assert [a.shape for a in before[:6]] == [b.shape for b in after[:6]]
    expected = encoded(torch.from_numpy(audio)[None], codec)[0]
    assert torch.equal(after.x, expected.half().float().expand_as(after.x))
    assert set(after.style[:, 0].tolist()) <= {4.0, 5.0}
    assert not torch.equal(before.srm, after.srm)


def test_a_clip_denser_than_the_densest_does_not_suit() -> None:
    trained = refreshable_stage()
    clips = LatentClips(trained, VAE(load_preset("tiny").codec), Constant())
    assert clips.suits(sheet())
    assert not clips.suits(sheet(n_notes=2))
    trained.max_notes = 0
    assert not clips.suits(sheet())


def power_of_two() -> partial:
    return partial(pow, 2)


def sleeper() -> Callable[[float], None]:
    return time.sleep


def test_the_background_gives_results_in_order_without_waiting() -> None:
    background = Background(power_of_two, count(3), 2)
    try:
        results, until = [], time.monotonic() + 280
        while len(results) < 6 and time.monotonic() < until:
            result = background.take()
            if result is not None:
                results.append(result)
        assert results == [8, 16, 32, 64, 128, 256]
    finally:
        background.close()


def test_what_the_background_is_at_is_not_waited_for() -> None:
    background = Background(sleeper, repeat(600.0), 1)
    background.close()
    (process,) = background.processes
    until = time.monotonic() + 280
    while process.is_alive() and time.monotonic() < until:  # the pool's thread may be about to note its end
        process.join(1)
    assert not process.is_alive()
