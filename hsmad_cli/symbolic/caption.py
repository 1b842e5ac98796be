"""What a score says in words: who plays, how fast, and in which key. It is the prompt of `sample` without --style."""

from __future__ import annotations

import numpy as np

from hsmad_cli.symbolic.harmony import KEY_NAMES, estimate_keys, follows_beats
from hsmad_cli.symbolic.notes import NoteTable, Score

MAX_INSTRUMENTS = 6

# General MIDI programs 0 to 127, as a musician would call them in a prompt.
INSTRUMENTS = (
    "piano", "piano", "electric grand piano", "honky-tonk piano",
    "electric piano", "electric piano", "harpsichord", "clavinet",
    "celesta", "glockenspiel", "music box", "vibraphone", "marimba", "xylophone", "tubular bells", "dulcimer",
    "organ", "percussive organ", "rock organ", "church organ", "reed organ", "accordion", "harmonica", "bandoneon",
    "nylon guitar", "acoustic guitar", "jazz guitar", "electric guitar",
    "muted guitar", "overdriven guitar", "distorted guitar", "guitar harmonics",
    "double bass", "electric bass", "picked bass", "fretless bass",
    "slap bass", "slap bass", "synth bass", "synth bass",
    "violin", "viola", "cello", "contrabass", "tremolo strings", "pizzicato strings", "harp", "timpani",
    "strings", "slow strings", "synth strings", "synth strings", "choir", "voice", "synth voice", "orchestra hit",
    "trumpet", "trombone", "tuba", "muted trumpet", "french horn", "brass", "synth brass", "synth brass",
    "soprano saxophone", "alto saxophone", "tenor saxophone", "baritone saxophone",
    "oboe", "english horn", "bassoon", "clarinet",
    "piccolo", "flute", "recorder", "pan flute", "bottle", "shakuhachi", "whistle", "ocarina",
    "square lead", "saw lead", "calliope lead", "chiff lead", "charang lead", "voice lead", "fifths lead", "bass lead",
    "synth pad", "warm pad", "polysynth pad", "choir pad", "bowed pad", "metallic pad", "halo pad", "sweep pad",
    "rain effect", "soundtrack effect", "crystal effect", "atmosphere effect",
    "brightness effect", "goblins effect", "echoes effect", "sci-fi effect",
    "sitar", "banjo", "shamisen", "koto", "kalimba", "bagpipe", "fiddle", "shanai",
    "tinkle bell", "agogo", "steel drums", "woodblock", "taiko", "melodic tom", "synth drum", "reverse cymbal",
    "fret noise", "breath noise", "seashore", "bird tweet", "telephone", "helicopter", "applause", "gunshot",
)  # fmt: skip

_TEMPO_WORDS = ((60, "very slow"), (80, "slow"), (112, "moderate tempo"), (144, "fast"), (np.inf, "very fast"))


def caption(score: Score, genre: str = "") -> str:
    """A prompt such as "jazz, double bass, piano and drums, slow, E minor"; what is not known is left out."""
    phrases = (genre.strip(), instruments_in_words(score.notes), tempo_in_words(score), key_in_words(score))
    return ", ".join(phrase for phrase in phrases if phrase)


def instruments_in_words(notes: NoteTable) -> str:
    """The instruments, those that sound longest first and drums last; "solo piano" for one alone."""
    sounding_s: dict[str, float] = {}
    for program in np.unique(notes.program[~notes.is_drum]):
        mine = (notes.program == program) & ~notes.is_drum
        name = INSTRUMENTS[program]
        sounding_s[name] = sounding_s.get(name, 0.0) + float((notes.offset_s - notes.onset_s)[mine].sum())
    names = sorted(sounding_s, key=lambda name: -sounding_s[name])[:MAX_INSTRUMENTS]
    if notes.is_drum.any():
        names.append("drums")
    if len(names) == 1:
        return f"solo {names[0]}"
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def tempo_in_words(score: Score) -> str:
    """The tempo that lasts longest, in a word; nothing if the notes do not follow the beats."""
    if not follows_beats(score):
        return ""
    lasts_s = np.diff(score.tempo_s, append=max(score.notes.end_s, score.tempo_s[-1]))
    order = np.argsort(score.tempo_bpm)
    middle = np.searchsorted(np.cumsum(lasts_s[order]), lasts_s.sum() / 2)
    bpm = score.tempo_bpm[order[middle]]
    return next(word for limit, word in _TEMPO_WORDS if bpm < limit)


def key_in_words(score: Score) -> str:
    """The key that lasts longest, as in "E minor"; nothing without pitched notes."""
    _, keys = estimate_keys(score)
    return KEY_NAMES[np.bincount(keys).argmax()] if len(keys) else ""
