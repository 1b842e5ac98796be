"""TinySoundFont as a second engine: no system library, notes at the exact sample, a timbre of its own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np

from hsmad_cli.config import SAMPLE_RATE
from hsmad_cli.errors import ConfigError, InputError
from hsmad_cli.symbolic.notes import NoteTable
from hsmad_cli.synth.engine import DRUM_BANK, SMALL_ROOM, Mix, Room, nearest_preset, within_peak
from hsmad_cli.synth.latency import LatencyTable, shipped_latency, strike_early
from hsmad_cli.synth.reverb import reverberate
from hsmad_cli.synth.schedule import NOTE_ON, channels, events, playable
from hsmad_cli.synth.soundfonts import find_soundfont

CURE = "pip install --no-deps tinysoundfont"
_SILENCE_S = 0.1


class TinySynthesizer:
    """A soundfont, loaded once, that renders any number of items; no item leaves a trace in the next.

    The arguments are those of Synthesizer. TinySoundFont has no effects: the room is a convolution into which all parts
    are sent alike, and there is no chorus. It ignores a soundfont's modulators: programs whose loudness depends on them
    come out too soft (the pianos of MuseScore_General_Lite by 14 to 40 dB). Raises ConfigError without the package,
    InputError for a bad soundfont.
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
        self.latency = shipped_latency(self.soundfont) if latency == "shipped" else latency
        self._font = _load(self.soundfont, sample_rate, gain, polyphony)

    def render(
        self, notes: NoteTable, duration_s: float, mix: Mapping[int, Mix] | None = None, room: Room = SMALL_ROOM
    ) -> np.ndarray:
        """The sound of `notes`, float32 [2, round(duration_s * sample_rate)], peak at most -1 dBFS.

        mix: by part; parts that it leaves out have the default. Onsets and offsets are rounded to samples.
        """
        notes, lead_s = strike_early(notes, self.latency, self._nearest, 1 / self.sample_rate)
        notes, lead = playable(notes), round(lead_s * self.sample_rate)
        self._silence()
        channel = self._set_up(notes, mix or {})
        audio = self._play(notes, channel, lead + round(duration_s * self.sample_rate))[:, lead:]
        return np.ascontiguousarray(within_peak(reverberate(audio, room, self.sample_rate)))

    def _silence(self) -> None:
        """Ends all voices; a reset lets them fade for a moment."""
        self._font.reset()
        self._render(np.zeros((round(_SILENCE_S * self.sample_rate), 2), np.float32))

    def _set_up(self, notes: NoteTable, mix: Mapping[int, Mix]) -> np.ndarray:
        """Channel of every note: one for each voice and velocity.

        A note's gain follows its velocity linearly here, and its square by the standard: the channel has the rest.
        """
        voice, voices = channels(notes)
        pairs, channel = np.unique(np.stack([voice, notes.velocity], axis=1), axis=0, return_inverse=True)
        for index, (voice_index, velocity) in enumerate(pairs.tolist()):
            part, program, is_drum = voices[voice_index].tolist()
            desk = mix.get(part, Mix())
            self._font.channel_set_bank(index, 0)
            self._font.channel_set_preset_number(index, self._nearest(program, bool(is_drum)), bool(is_drum))
            self._font.channel_set_pan(index, desk.pan / 128)
            self._font.channel_set_volume(index, (desk.volume / 127) ** 2 * velocity / 127)
        return channel.reshape(-1)

    def _nearest(self, program: int, is_drum: bool) -> int:
        bank = DRUM_BANK if is_drum else 0
        return nearest_preset(
            program, lambda preset: self._font.get_preset_index(bank, preset) >= 0, f"{self.soundfont}: bank {bank}"
        )

    def _play(self, notes: NoteTable, channel: np.ndarray, n_samples: int) -> np.ndarray:
        audio, sample = np.zeros((n_samples, 2), np.float32), 0
        for time, kind, index, pitch, velocity in events(notes, channel, self.sample_rate):
            end = min(time, n_samples)
            self._render(audio[sample:end])
            sample = end
            if kind == NOTE_ON:
                # The velocity layer is the integer part of 127 times what is given.
                self._font.channel_note_on(index, pitch, (velocity + 0.25) / 127)
            else:
                self._font.channel_note_off(index, pitch)
        self._render(audio[sample:])
        return audio.T

    def _render(self, audio: np.ndarray) -> None:
        if len(audio):
            self._font.render(audio.data.cast("B"))


def _load(soundfont: Path, sample_rate: int, gain: float, polyphony: int) -> Any:
    try:
        import tinysoundfont
    except ImportError as error:
        raise ConfigError(f"TinySoundFont cannot be loaded: {error}", CURE) from error
    synth = tinysoundfont.Synth(gain=float(20 * np.log10(gain)), samplerate=sample_rate)
    try:
        return synth.soundfonts[synth.sfload(str(soundfont), max_voices=polyphony)]
    except RuntimeError as error:
        raise InputError(f"{soundfont}: TinySoundFont cannot read this soundfont") from error
