"""A clip without its sound, as plain arrays: what travels from the workers to the bank."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from hsmad_cli.config import SAMPLE_RATE, scales_of
from hsmad_cli.datasets.factory import Clip
from hsmad_cli.symbolic.harmony import chord_targets, key_targets, tempo_targets

NOTE_DTYPES = {
    "onset_s": np.float32, "offset_s": np.float32, "pitch": np.int16, "velocity": np.int16,
    "program": np.int16, "is_drum": np.bool_, "part": np.int16,
}  # fmt: skip


@dataclass(frozen=True)
class Rates:
    """The time axes of a bank: sample_rate in Hz, hop_length in samples per latent frame, ratios (R1, R2)."""

    sample_rate: int = SAMPLE_RATE
    hop_length: int = 882
    ratios: tuple[int, int] = (4, 4)

    def frame_rate(self, level: int) -> tuple[int, int]:
        """Frames a second at level 0 (T_H), 1 (T_M) or 2 (T_L), as (numerator, denominator)."""
        return self.sample_rate, self.hop_length * self.frames_per(level)

    def frames_per(self, level: int) -> int:
        """Frames at T_H in one frame of a level."""
        return scales_of(self.ratios)[level]

    @property
    def multiple(self) -> int:
        """R1 R2: whole clips are a multiple of so many latent frames."""
        return self.frames_per(2)


@dataclass(frozen=True)
class Sheet:
    """notes, pedal: columns by name. chord [T_M], key [T_L], tempo [T_L]: targets. The rest is what the clip says."""

    n_samples: int
    notes: Mapping[str, np.ndarray]
    pedal_s: np.ndarray
    pedal_value: np.ndarray
    chord: np.ndarray
    key: np.ndarray
    tempo: np.ndarray
    captions: tuple[str, ...]
    tags: tuple[str, ...]
    item_id: str
    recipe: str
    soundfont: str


def sheet_of(clip: Clip, rates: Rates) -> Sheet:
    """The sheet of a clip, its audio counted in whole multiples of R1 R2 frames (the rest of the audio is cut)."""
    n_frames = clip.audio.shape[1] // (rates.hop_length * rates.multiple) * rates.multiple
    n_local, n_global = (n_frames // rates.frames_per(level) for level in (1, 2))
    columns = clip.notes.columns()
    return Sheet(
        n_samples=n_frames * rates.hop_length,
        notes={name: columns[name].astype(dtype) for name, dtype in NOTE_DTYPES.items()},
        pedal_s=clip.score.pedal_s.astype(np.float32),
        pedal_value=clip.score.pedal_value.astype(np.float32),
        chord=chord_targets(clip.score, n_local, rates.frame_rate(1)).astype(np.int8),
        key=key_targets(clip.score, n_global, rates.frame_rate(2)).astype(np.int8),
        tempo=tempo_targets(clip.score, n_global, rates.frame_rate(2)).astype(np.float32),
        captions=clip.captions,
        tags=clip.tags,
        item_id=clip.item_id,
        recipe=clip.recipe,
        soundfont=clip.soundfont,
    )
