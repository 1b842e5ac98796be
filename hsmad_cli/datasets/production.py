"""The sound of a recording: the room, the tone and the stereo image. Each has its words in words.toml."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from hsmad_cli.symbolic.notes import NoteTable
from hsmad_cli.synth.engine import ROOMS, Room, within_peak

TONES = ("neutral", "bright", "dark")
WIDTHS = ("normal", "wide", "mono")
_SHELF_HZ, _TONE_SHARE, _WIDTH_SHARE, _SUITABLE_SHARE = 1800.0, 0.45, 0.35, 0.75
TARGET_DB, TARGET_VELOCITY, DB_PER_VELOCITY = -20.0, 80.0, 0.125
_QUIET = 1e-4


@dataclass(frozen=True)
class Production:
    """room_name: dry, room, hall or church; room: its reverb. tone_db: gain of a high shelf. width: of the side."""

    room_name: str
    room: Room
    tone: str
    tone_db: float
    image: str
    width: float

    @property
    def tones(self) -> tuple[str, ...]:
        """The keys of `tone` in words.toml that are true of it."""
        return tuple(name for name in (self.tone, self.image) if name not in ("neutral", "normal"))


def draw_room(name: str, generator: np.random.Generator) -> Room:
    """A room of this kind, at a random size and level."""
    room, (u, v) = ROOMS[name], generator.uniform(-1.0, 1.0, 2)
    return replace(room, size=room.size + 0.05 * u, level=room.level * (1 + 0.2 * v))


def draw_production(
    rooms: Sequence[str], tones: Sequence[str], widths: Sequence[str], generator: np.random.Generator
) -> Production:
    """A production of mostly what suits (rooms, tones, widths; empty: anything), and now and then anything else."""
    room = _draw(rooms if rooms and generator.uniform() < _SUITABLE_SHARE else tuple(ROOMS), generator)
    tone, image = "neutral", "normal"
    if tones:
        tone = _draw(tones, generator)
    elif generator.uniform() < _TONE_SHARE:
        tone = _draw(TONES[1:], generator)
    if widths:
        image = _draw(widths, generator)
    elif generator.uniform() < _WIDTH_SHARE:
        image = _draw(WIDTHS[1:], generator)
    tone_db = {"neutral": 0.0, "bright": 1.0, "dark": -1.0}[tone] * generator.uniform(6.0, 10.0)
    width = {"normal": 1.0, "wide": generator.uniform(1.7, 2.3), "mono": 0.0}[image]
    return Production(room, draw_room(room, generator), tone, float(tone_db), image, float(width))


def _draw(choices: Sequence[str], generator: np.random.Generator) -> str:
    return choices[int(generator.integers(len(choices)))]


def produce(audio: np.ndarray, production: Production, notes: NoteTable, sample_rate: int) -> np.ndarray:
    """Tone, width and level of a rendering [2, n]: its loudness follows the mean velocity, peaks stay below -1 dBFS."""
    if production.tone_db:
        audio = high_shelf(audio, production.tone_db, _SHELF_HZ, sample_rate)
    if production.width != 1.0:
        audio = set_width(audio, production.width)
    return levelled(audio, float(notes.velocity.mean()) if len(notes) else TARGET_VELOCITY)


def high_shelf(audio: np.ndarray, gain_db: float, corner_hz: float, sample_rate: int) -> np.ndarray:
    """A first-order shelf: `gain_db` far above the corner, half of it there, nothing far below; minimum phase."""
    from scipy.signal import lfilter

    root = 10 ** (gain_db / 40)
    k = np.tan(np.pi * corner_hz / sample_rate)
    # Analog prototype (root^2 s + root w) / (s + root w), bilinear transform with s = (1 - z^-1) / k.
    b = np.array([root * root + root * k, -root * root + root * k])
    a = np.array([1 + root * k, -1 + root * k])
    filtered: np.ndarray = lfilter((b / a[0]).astype(np.float32), (a / a[0]).astype(np.float32), audio, axis=-1)
    return filtered


def set_width(audio: np.ndarray, width: float) -> np.ndarray:
    """The side signal times `width`: 0 is mono."""
    mid, side = (audio[0] + audio[1]) / 2, (audio[0] - audio[1]) * np.float32(width / 2)
    return np.stack([mid + side, mid - side])


def levelled(audio: np.ndarray, mean_velocity: float) -> np.ndarray:
    """The audio at -20 dBFS (RMS of what is not silence) for a mean velocity of 80, an eighth of a dB per step."""
    heard = np.abs(audio).max(axis=0) > _QUIET
    if not heard.any():
        return audio
    rms_db = 10 * np.log10(np.mean(np.square(audio[:, heard], dtype=np.float32), dtype=np.float64))
    target_db = TARGET_DB + (mean_velocity - TARGET_VELOCITY) * DB_PER_VELOCITY
    return within_peak(audio * np.float32(10 ** ((target_db - rms_db) / 20)))
