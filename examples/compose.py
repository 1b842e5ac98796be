"""Writes the six example scores: `python examples/compose.py FOLDER`.

The Bach prelude is in the public domain; the other five pieces were written for hsmad (Apache-2.0). Timing and dynamics
carry a little of what a player does, drawn from a fixed seed, so that the files are the same every time.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pretty_midi

PRELUDE = """C4 E4 G4 C5 E5|C4 D4 A4 D5 F5|B3 D4 G4 D5 F5|C4 E4 G4 C5 E5|C4 E4 A4 E5 A5|C4 D4 F#4 A4 D5|B3 D4 G4 D5 G5
B3 C4 E4 G4 C5|A3 C4 E4 G4 C5|D3 A3 D4 F#4 C5|G3 B3 D4 G4 B4|G3 Bb3 E4 G4 C#5|F3 A3 D4 A4 D5|F3 Ab3 D4 F4 B4
E3 G3 C4 G4 C5|E3 F3 A3 C4 F4|D3 F3 A3 C4 F4|G2 D3 G3 B3 F4|C3 E3 G3 C4 E4"""


class Player:
    """One part: notes in beats, played with a human's small errors."""

    def __init__(self, band: Band, program: int, name: str, is_drum: bool = False, loose_s: float = 0.006) -> None:
        self.instrument = pretty_midi.Instrument(program, is_drum, name)
        self.band, self.loose_s = band, loose_s
        band.midi.instruments.append(self.instrument)

    def play(self, pitch: str | int, beat: float, beats: float, velocity: float) -> None:
        number = pitch if isinstance(pitch, int) else pretty_midi.note_name_to_number(pitch)
        start = max(beat * self.band.beat_s + self.band.rng.normal(0, self.loose_s), 0.0)
        loud = int(np.clip(velocity + self.band.rng.normal(0, 5), 20, 120))
        self.instrument.notes.append(pretty_midi.Note(loud, number, start, start + beats * self.band.beat_s))

    def chord(self, names: str, beat: float, beats: float, velocity: float) -> None:
        for name in names.split():
            self.play(name, beat, beats, velocity)

    def pedal(self, down: float, up: float) -> None:
        for beat, value in ((down, 127), (up, 0)):
            self.instrument.control_changes.append(pretty_midi.ControlChange(64, value, beat * self.band.beat_s))


class Band:
    """A score at one tempo."""

    def __init__(self, bpm: float, seed: int) -> None:
        self.midi = pretty_midi.PrettyMIDI(initial_tempo=bpm)
        self.beat_s = 60 / bpm
        self.rng = np.random.default_rng(seed)


def prelude() -> Band:
    band = Band(80, 1)
    piano = Player(band, 0, "Piano", loose_s=0.008)
    bars = [bar.split() for bar in PRELUDE.replace("\n", "|").split("|")]
    for index, bar in enumerate(bars):
        swell = 62 + 14 * np.sin(index / len(bars) * 2 * np.pi)
        piano.pedal(4 * index + 0.02, 4 * index + 3.9)
        for half in (0, 2):
            for step, voice in enumerate((0, 1, 2, 3, 4, 2, 3, 4)):
                beats = (2.0, 1.75)[voice] if voice < 2 else 0.25
                piano.play(bar[voice], 4 * index + half + step / 4, beats, swell + (10, 4, 0, 2, 6)[voice])
    piano.chord("C2 C3 E4 G4 C5", 4 * len(bars), 4, 58)
    return band


def jazz_trio() -> Band:
    band = Band(132, 2)
    piano, bass, drums = Player(band, 0, "Piano"), Player(band, 32, "Bass"), Player(band, 0, "Drums", is_drum=True)
    changes = [("D3 F2 A2 C#3", "F4 A4 C5 E5"), ("G2 B2 D3 F3", "F4 A4 B4 E5"), ("C3 E3 G2 B2", "E4 G4 B4 D5")]
    changes += [("A2 C#3 E3 G2", "G4 Bb4 C#5 F5")]
    for bar in range(16):
        walk, voicing = changes[bar % 4]
        for step, name in enumerate(walk.split()):
            bass.play(name, 4 * bar + step, 0.9, 82)
        for beat in ((0.0, 1.67), (1.0, 2.67), (0.67, 3.0))[bar % 3]:
            piano.chord(voicing, 4 * bar + beat, 0.5, 66)
        for beat in (0, 1, 1.67, 2, 3, 3.67):
            drums.play(51, 4 * bar + beat, 0.2, 78 if beat % 2 else 68)
        for beat in (1, 3):
            drums.play(44, 4 * bar + beat, 0.2, 60)
        if bar % 4 == 3:
            drums.play(38, 4 * bar + 3.67, 0.2, 70)
    for step, name in enumerate("A5 F5 E5 C5 D5 B4 A4 G4 E5 D5 C5 B4 G4 A4 Bb4 C#5".split()):
        for chorus in (16, 48):
            piano.play(name, chorus + step + (0.67 if step % 2 else 0), 0.6, 88)
    return band


def string_quartet() -> Band:
    band = Band(76, 3)
    players = [Player(band, program, name) for program, name in
               ((40, "Violin I"), (40, "Violin II"), (41, "Viola"), (42, "Cello"))]  # fmt: skip
    lines = ("D5 E5 F#5 A5 G5 F#5 E5 D5 B4 D5 C#5 D5", "A4 A4 A4 D5 D5 A4 B4 A4 G4 A4 G4 F#4",
             "F#4 E4 D4 F#4 D4 D4 E4 F#4 E4 F#4 E4 D4", "D3 C#3 D3 D3 B2 D3 G2 D3 E3 F#3 A2 D3")  # fmt: skip
    for player, line in zip(players, lines, strict=True):
        for verse in range(2):
            for step, name in enumerate(line.split()):
                player.play(name, 24 * verse + 2 * step, 1.95, 58 + 18 * np.sin(step / 12 * np.pi) + 8 * verse)
    for step in range(24):
        players[0].play("A5" if step % 2 else "F#5", 48 + step / 2, 0.45, 70)
    for player, name in zip(players[1:], ("F#4", "D4", "D3"), strict=True):
        player.play(name, 48, 12, 64)
    return band


def rock_band() -> Band:
    band = Band(118, 4)
    guitar, lead = Player(band, 29, "Guitar"), Player(band, 30, "Lead")
    bass, drums = Player(band, 33, "Bass"), Player(band, 0, "Drums", is_drum=True)
    roots = ("E2 B2 E3", "G2 D3 G3", "A2 E3 A3", "D3 A3 D4")
    for bar in range(16):
        power = roots[bar % 4]
        for eighth in range(8):
            drums.play(42, 4 * bar + eighth / 2, 0.2, 76 if eighth % 2 == 0 else 62)
            bass.play(pretty_midi.note_name_to_number(power.split()[0]), 4 * bar + eighth / 2, 0.45, 88)
            if eighth in (0, 3, 4, 6):
                guitar.chord(power, 4 * bar + eighth / 2, 0.7, 84)
        for beat, key in ((0, 36), (1, 38), (2, 36), (2.5, 36), (3, 38)):
            drums.play(key, 4 * bar + beat, 0.2, 100)
        if bar % 8 == 0:
            drums.play(49, 4 * bar, 1.0, 100)
    for step, name in enumerate("E5 G5 A5 B5 D6 B5 A5 G5 E5 D5 E5 G5 A5 G5 E5 D5".split()):
        lead.play(name, 32 + 2 * step, 1.6, 92)
    return band


def bossa_nova() -> Band:
    band = Band(126, 5)
    guitar, flute = Player(band, 24, "Guitar"), Player(band, 73, "Flute")
    bass, drums = Player(band, 32, "Bass"), Player(band, 0, "Drums", is_drum=True)
    changes = [("F2", "C3", "A3 C4 E4"), ("G2", "D3", "B3 D4 F4"), ("G2", "D3", "Bb3 D4 F4"), ("C3", "G2", "Bb3 D4 E4")]
    for bar in range(16):
        low, fifth, voicing = changes[bar % 4]
        for beat, name in ((0, low), (1.5, fifth), (2, fifth), (3.5, low)):
            bass.play(name, 4 * bar + beat, 0.5, 80)
        for beat in ((0, 1, 2.5), (0.5, 1.5, 3))[bar % 2]:
            guitar.chord(voicing, 4 * bar + beat, 0.8, 66)
            drums.play(37, 4 * bar + beat, 0.2, 64)
        for eighth in range(8):
            drums.play(42, 4 * bar + eighth / 2, 0.2, 48)
    for step, name in enumerate("C5 A4 C5 E5 D5 B4 D5 F5 F5 D5 Bb4 G4 E5 D5 C5 Bb4".split()):
        flute.play(name, 16 + 2 * step + (0.5 if step % 3 == 1 else 0), 1.4, 80)
    return band


def music_box() -> Band:
    band = Band(92, 6)
    box = Player(band, 10, "Music box")
    melody = "G5 E5 C6 G5 A5 F5 D6 A5 B5 G5 E6 D6 C6 G5 E5 C5"
    bass = "C4 E4 G4 F4 A4 C5 G4 B4 D5 C4 E4 G4"
    for verse in range(2):
        for step, name in enumerate(melody.split()):
            box.play(name, 24 * verse + 1.5 * step, 1.4, 84)
        for step in range(48):
            box.play(bass.split()[3 * (step // 12) + step % 3], 24 * verse + step / 2, 0.9, 58)
    return band


PIECES = (prelude, jazz_trio, string_quartet, rock_band, bossa_nova, music_box)

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    for piece in PIECES:
        piece().midi.write(str(folder / f"{piece.__name__}.mid"))
