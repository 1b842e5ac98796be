"""Fresh clips while training goes on: they are made in the background and take the places of the oldest ones.

A bank is the beginning of an endless series of clips, each a function of (seed, index); refreshing goes on in it. When
a clip is ready depends on the machine, so a run with fresh clips cannot be repeated to the bit; resumed at some step,
it begins with the bank again, and then hears clips of the series that it has not heard before.
"""

from __future__ import annotations

from functools import partial
from itertools import count
from typing import Protocol

import numpy as np
import torch

from hsmad_cli.datasets.build import ClipMaker
from hsmad_cli.datasets.factory import Plan
from hsmad_cli.datasets.memory import ClipBank, most_at_once
from hsmad_cli.datasets.replacing import fits, put, sent
from hsmad_cli.datasets.sheets import Sheet
from hsmad_cli.datasets.workers import Background
from hsmad_cli.model.style_encoder import StyleEncoder
from hsmad_cli.model.vae import VAE
from hsmad_cli.training.latents import encoded
from hsmad_cli.training.parallel import Workers
from hsmad_cli.training.stages.denoiser import DenoiserStage


class Clips(Protocol):
    """What a stage learns from: clips, of which any can be replaced in place."""

    bank: ClipBank

    def suits(self, sheet: Sheet) -> bool:
        """Whether a clip can take the place of another."""
        ...

    def put(self, clip: int, sheet: Sheet, audio: np.ndarray) -> None:
        """Replace a clip by one that suits, with audio int16 [n, 2]."""
        ...


class AudioClips:
    """The clips of the codec's stage: a bank of audio, with room."""

    def __init__(self, bank: ClipBank) -> None:
        self.bank = bank

    def suits(self, sheet: Sheet) -> bool:
        return fits(self.bank, sheet)

    def put(self, clip: int, sheet: Sheet, audio: np.ndarray) -> None:
        put(self.bank, clip, sheet, sent(audio, self.bank.device))


class LatentClips:
    """The clips of a denoiser's stage: latents, which the codec makes on the device, scores and encoded captions.

    encoder: on the CPU, so that the device is not waited for.
    """

    def __init__(self, stage: DenoiserStage, codec: VAE, encoder: StyleEncoder) -> None:
        self.stage, self.bank, self.encoder = stage, stage.bank, encoder
        self.codec = codec.to(stage.device).eval()

    def suits(self, sheet: Sheet) -> bool:
        notes, rates = sheet.notes, self.bank.rates
        n_frames = sheet.n_samples // rates.hop_length
        most = most_at_once(notes["onset_s"], notes["offset_s"], notes["is_drum"], self.stage.window, n_frames, rates)
        return fits(self.bank, sheet) and most <= self.stage.max_notes

    def put(self, clip: int, sheet: Sheet, audio: np.ndarray) -> None:
        latents = encoded(sent(audio, self.bank.device)[None], self.codec)[0]
        put(self.bank, clip, sheet, latents)
        styles = self.encoder.encode(sheet.captions or ("",))
        self.stage.styles.put(clip, sent(styles.numpy(), self.bank.device))


class Refresher:
    """Replaces clips, the oldest first, by those of a plan that come after the bank's; `processes` make them.

    taken: how many were replaced. left_out: fresh ones that were longer, or fuller than the fullest of the bank.
    """

    def __init__(self, clips: Clips, plan: Plan, workers: Workers, processes: int) -> None:
        self.clips, self.plan, self.workers, self.processes = clips, plan, workers, processes
        self.taken, self.left_out = 0, 0
        self.background: Background[tuple[Sheet, np.ndarray]] | None = None

    def poll(self, step: int) -> None:
        """Take a clip if one is there: one a step at most, so that no step is held up for long. Never waits."""
        if self.background is None:
            first = self.plan.n_clips + self.workers.rank + self.workers.world * step
            start = partial(ClipMaker, self.plan, self.clips.bank.rates)
            self.background = Background(start, count(first, self.workers.world), self.processes)
        made = self.background.take()
        if made is None:
            return
        sheet, audio = made
        if not self.clips.suits(sheet):
            self.left_out += 1
            return
        with torch.no_grad():
            self.clips.put(self.taken % len(self.clips.bank), sheet, audio)
        self.taken += 1

    def close(self) -> None:
        if self.background is not None:
            self.background.close()
