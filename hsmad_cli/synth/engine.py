"""FluidSynth as a pure function: a note table and a soundfont in, stereo samples out."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from hsmad_cli.config import SAMPLE_RATE
from hsmad_cli.errors import InputError
from hsmad_cli.symbolic.notes import NoteTable
from hsmad_cli.synth.latency import LatencyTable, shipped_latency, strike_early
from hsmad_cli.synth.library import load_fluidsynth
from hsmad_cli.synth.schedule import NOTE_ON, channels, events, playable
from hsmad_cli.synth.soundfonts import find_soundfont

BLOCK = 64
DRUM_BANK = 128
PEAK = 10 ** (-1 / 20)
_VOLUME, _PAN, _REVERB, _CHORUS = 7, 10, 91, 93


@dataclass(frozen=True)
class Room:
    """FluidSynth's reverb: size, damping and level 0 to 1, width 0 to 100; a level of 0 is no reverb at all."""

    size: float = 0.5
    damping: float = 0.3
    width: float = 1.0
    level: float = 0.0


@dataclass(frozen=True)
class Mix:
    """A part at the mixing desk, in MIDI controller values 0 to 127: pan 0 is left, 64 centre; sends to the effects."""

    volume: int = 100
    pan: int = 64
    reverb: int = 64
    chorus: int = 0


DRY = Room()
SMALL_ROOM = Room(size=0.3, damping=0.4, level=0.45)
HALL = Room(size=0.72, damping=0.3, level=0.65)
CHURCH = Room(size=0.88, damping=0.15, level=0.85)
ROOMS = {"dry": DRY, "room": SMALL_ROOM, "hall": HALL, "church": CHURCH}


class Synthesizer:
    """A soundfont, loaded once, that renders any number of items; no item leaves a trace in the next.

    Every item gets a synthesizer of its own over the shared soundfont, since a reset keeps the state of the effects.
    sample_rate: Hz. gain: linear. polyphony: voices at a time. latency: notes are triggered early by the latency of
    their sound, so that it begins at their onset; by default with the shipped table of this soundfont, None is no
    correction. Raises ConfigError without FluidSynth, InputError for a file that is no soundfont.
    """

    def __init__(
        self,
        soundfont: str | Path | None = None,
        sample_rate: int = SAMPLE_RATE,
        gain: float = 0.4,
        polyphony: int = 1024,
        latency: LatencyTable | Literal["shipped"] | None = "shipped",
    ) -> None:
        self.soundfont = find_soundfont(soundfont)
        self.sample_rate = sample_rate
        self.gain = gain
        self.polyphony = polyphony
        self.latency = shipped_latency(self.soundfont) if latency == "shipped" else latency
        self._library = load_fluidsynth()
        self._owner_settings = self._settings(16, DRY, chorus=False)
        self._owner = self._library.new_fluid_synth(self._owner_settings)
        identifier = self._library.fluid_synth_sfload(self._owner, str(self.soundfont).encode(), 0)
        if identifier < 0:
            raise InputError(f"{self.soundfont}: FluidSynth cannot read this soundfont")
        self._font = self._library.fluid_synth_get_sfont_by_id(self._owner, identifier)

    def render(
        self, notes: NoteTable, duration_s: float, mix: Mapping[int, Mix] | None = None, room: Room = SMALL_ROOM
    ) -> np.ndarray:
        """The sound of `notes`, float32 [2, round(duration_s * sample_rate)], peak at most -1 dBFS.

        mix: by part; parts that it leaves out have the default. Onsets and offsets are rounded to blocks of 64 samples:
        FluidSynth begins a note at the start of its next block, so that the error is at most 32 samples, 0.73 ms.
        """
        notes, lead_s = strike_early(notes, self.latency, self._nearest, BLOCK / self.sample_rate)
        notes, lead = playable(notes), round(lead_s * self.sample_rate)
        channel, voices = channels(notes)
        mixes = [(mix or {}).get(int(part), Mix()) for part, _, _ in voices]
        settings = self._settings(len(voices), room, chorus=any(desk.chorus for desk in mixes))
        synth = self._library.new_fluid_synth(settings)
        try:
            identifier = self._library.fluid_synth_add_sfont(synth, self._font)
            for index, (voice, desk) in enumerate(zip(voices.tolist(), mixes, strict=True)):
                self._set_up(synth, identifier, index, voice, desk)
            audio = self._play(synth, notes, channel, lead + round(duration_s * self.sample_rate))[:, lead:]
        finally:
            self._library.fluid_synth_remove_sfont(synth, self._font)
            self._library.delete_fluid_synth(synth)
            self._library.delete_fluid_settings(settings)
        return within_peak(np.ascontiguousarray(audio))

    def kits(self) -> tuple[int, ...]:
        """The programs of the soundfont's drum kits."""
        return tuple(kit for kit in range(128) if self._library.fluid_sfont_get_preset(self._font, DRUM_BANK, kit))

    def _settings(self, n_channels: int, room: Room, chorus: bool) -> int:
        settings = self._library.new_fluid_settings()
        numbers = {
            "synth.sample-rate": self.sample_rate, "synth.gain": self.gain, "synth.reverb.room-size": room.size,
            "synth.reverb.damp": room.damping, "synth.reverb.width": room.width, "synth.reverb.level": room.level,
            "synth.chorus.level": 1.2, "synth.chorus.speed": 0.4, "synth.chorus.depth": 6.0,
        }  # fmt: skip
        integers = {
            "synth.polyphony": self.polyphony, "synth.midi-channels": max(16, -(-n_channels // 16) * 16),
            "synth.reverb.active": int(room.level > 0), "synth.chorus.active": int(chorus),
            "synth.threadsafe-api": 0, "synth.lock-memory": 0, "synth.min-note-length": 0,
        }  # fmt: skip
        for name, number in numbers.items():
            self._library.fluid_settings_setnum(settings, name.encode(), float(number))
        for name, integer in integers.items():
            if self._library.fluid_settings_setint(settings, name.encode(), integer) != self._library.FLUID_OK:
                raise InputError(f"FluidSynth refuses {name} = {integer}")
        return settings

    def _set_up(self, synth: int, identifier: int, channel: int, voice: list[int], mix: Mix) -> None:
        _, program, is_drum = voice
        preset = self._nearest(program, bool(is_drum))
        self._library.fluid_synth_program_select(synth, channel, identifier, DRUM_BANK if is_drum else 0, preset)
        sends = ((_VOLUME, mix.volume), (_PAN, mix.pan), (_REVERB, mix.reverb), (_CHORUS, mix.chorus))
        for controller, value in sends:
            self._library.fluid_synth_cc(synth, channel, controller, value)

    def _nearest(self, program: int, is_drum: bool) -> int:
        bank = DRUM_BANK if is_drum else 0
        has = functools.partial(self._library.fluid_sfont_get_preset, self._font, bank)
        return nearest_preset(program, has, f"{self.soundfont}: bank {bank}")

    def _play(self, synth: int, notes: NoteTable, channel: np.ndarray, n_samples: int) -> np.ndarray:
        library, block, n_blocks = self._library, 0, -(-n_samples // BLOCK)
        audio = np.zeros((n_blocks * BLOCK, 2), np.float32)

        def render_until(end: int) -> int:
            if end > block:
                start = audio.ctypes.data + block * BLOCK * audio.strides[0]
                library.fluid_synth_write_float(synth, (end - block) * BLOCK, start, 0, 2, start, 1, 2)
            return max(end, block)

        for time, kind, index, pitch, velocity in events(notes, channel, self.sample_rate / BLOCK):
            block = render_until(min(time, n_blocks))
            if kind == NOTE_ON:
                library.fluid_synth_noteon(synth, index, pitch, velocity)
            else:
                library.fluid_synth_noteoff(synth, index, pitch)
        render_until(n_blocks)
        return audio[:n_samples].T


def nearest_preset(program: int, has: Callable[[int], object], where: str) -> int:
    """The program itself, else the first of its family of eight, else 0: a kit or instrument the font has."""
    for candidate in (program, program // 8 * 8, 0):
        if has(candidate):
            return candidate
    raise InputError(f"{where} has no program {program}", "use a General MIDI soundfont")


def within_peak(audio: np.ndarray) -> np.ndarray:
    """The audio, scaled down as a whole where its peak is above -1 dBFS."""
    peak = float(np.abs(audio).max(initial=0.0))
    return audio if peak <= PEAK else audio * np.float32(PEAK / peak)
