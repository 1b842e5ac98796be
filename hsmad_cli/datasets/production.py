"""The sound of a recording: room, distance, tone, effect and stereo image. Each has its words in words.toml.

No effect moves an onset, adds noise, or sounds where there was silence; all of them come after the synthesizer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from hsmad_cli.datasets.effects import EFFECTS, high_shelf, rms_of_sound
from hsmad_cli.symbolic.notes import NoteTable
from hsmad_cli.synth.engine import ROOMS, Room, within_peak

TONES = ("neutral", "bright", "dark")
WIDTHS = ("normal", "wide", "mono")
DISTANCES = ("normal", "close", "distant")
DISTORTIONS = ("none", "lofi", "tape", "overdrive")
REVERB_SENDS = {"normal": 64, "close": 24, "distant": 127}
_SHELF_HZ, _TONE_SHARE, _WIDTH_SHARE, _SUITABLE_SHARE = 1800.0, 0.45, 0.35, 0.75
_SHARES = {"close": 0.05, "distant": 0.05, "lofi": 0.05, "tape": 0.05, "overdrive": 0.02}
_SUITABLE_EFFECT_SHARE = 0.45
_DULL, _DISTANT_LEVEL = ("distant", "lofi"), 1.5
TARGET_DB, TARGET_VELOCITY, DB_PER_VELOCITY = -20.0, 80.0, 0.125


@dataclass(frozen=True)
class Production:
    """room_name: dry, room, hall or church; room: its reverb. tone_db: gain of a high shelf. width: of the side.

    strength: 0 to 1, of the distance and of the effect.
    """

    room_name: str
    room: Room
    tone: str
    tone_db: float
    image: str
    width: float
    distance: str = "normal"
    effect: str = "none"
    strength: float = 0.5

    @property
    def tones(self) -> tuple[str, ...]:
        """The keys of `tone` in words.toml that are true of it."""
        names = (self.tone, self.image, self.distance, self.effect)
        return tuple(name for name in names if name not in ("neutral", "normal", "none"))

    @property
    def reverb_send(self) -> int:
        """How much of each instrument goes to the reverb, as a MIDI controller value."""
        return REVERB_SENDS[self.distance]


def draw_production(
    rooms: Sequence[str],
    tones: Sequence[str],
    widths: Sequence[str],
    effects: Sequence[str],
    generator: np.random.Generator,
) -> Production:
    """A production of mostly what suits (empty: anything), and now and then anything else; most have no effect."""
    room_name = _draw(rooms if rooms and generator.uniform() < _SUITABLE_SHARE else tuple(ROOMS), generator)
    tone, image = "neutral", "normal"
    if tones:
        tone = _draw(tones, generator)
    elif generator.uniform() < _TONE_SHARE:
        tone = _draw(TONES[1:], generator)
    if widths:
        image = _draw(widths, generator)
    elif generator.uniform() < _WIDTH_SHARE:
        image = _draw(WIDTHS[1:], generator)
    distance = _draw_effect(DISTANCES, effects, generator)
    effect = _draw_effect(DISTORTIONS, effects, generator)
    if distance == "distant" and room_name == "dry":
        room_name = "room"
    elif distance == "close" and room_name in ("hall", "church"):
        distance = "normal"
    if tone == "bright" and {distance, effect} & set(_DULL):
        tone = "neutral"
    room = draw_room(room_name, generator)
    if distance == "distant":
        room = replace(room, level=min(room.level * _DISTANT_LEVEL, 1.0))
    tone_db = {"neutral": 0.0, "bright": 1.0, "dark": -1.0}[tone] * generator.uniform(6.0, 10.0)
    width = {"normal": 1.0, "wide": generator.uniform(1.7, 2.3), "mono": 0.0}[image]
    strength = generator.uniform()
    return Production(room_name, room, tone, float(tone_db), image, float(width), distance, effect, float(strength))


def draw_room(name: str, generator: np.random.Generator) -> Room:
    """A room of this kind, at a random size and level."""
    room, (u, v) = ROOMS[name], generator.uniform(-1.0, 1.0, 2)
    return replace(room, size=room.size + 0.05 * u, level=room.level * (1 + 0.2 * v))


def _draw_effect(kinds: Sequence[str], suitable: Sequence[str], generator: np.random.Generator) -> str:
    """One of these kinds, the first of which is none at all: what suits often, the others rarely."""
    fitting = [kind for kind in kinds if kind in suitable]
    if fitting and generator.uniform() < _SUITABLE_EFFECT_SHARE:
        return _draw(fitting, generator)
    shares = [_SHARES[kind] for kind in kinds[1:]]
    return str(generator.choice(kinds, p=[1 - sum(shares), *shares]))


def _draw(choices: Sequence[str], generator: np.random.Generator) -> str:
    return choices[int(generator.integers(len(choices)))]


def produce(audio: np.ndarray, production: Production, notes: NoteTable, sample_rate: int) -> np.ndarray:
    """All but the room of a rendering [2, n]: its loudness follows the mean velocity, peaks stay below -1 dBFS."""
    for name in (production.effect, production.distance):
        if name in EFFECTS:
            audio = EFFECTS[name](audio, production.strength, sample_rate)
    if production.tone_db:
        audio = high_shelf(audio, production.tone_db, _SHELF_HZ, sample_rate)
    if production.width != 1.0:
        audio = set_width(audio, production.width)
    return levelled(audio, float(notes.velocity.mean()) if len(notes) else TARGET_VELOCITY)


def set_width(audio: np.ndarray, width: float) -> np.ndarray:
    """The side signal times `width`: 0 is mono."""
    mid, side = (audio[0] + audio[1]) / 2, (audio[0] - audio[1]) * np.float32(width / 2)
    return np.stack([mid + side, mid - side])


def levelled(audio: np.ndarray, mean_velocity: float) -> np.ndarray:
    """The audio at -20 dBFS (RMS of what is not silence) for a mean velocity of 80, an eighth of a dB per step."""
    rms = rms_of_sound(audio)
    if rms == 0:
        return audio
    target_db = TARGET_DB + (mean_velocity - TARGET_VELOCITY) * DB_PER_VELOCITY
    return within_peak(audio * np.float32(10 ** (target_db / 20) / rms))
