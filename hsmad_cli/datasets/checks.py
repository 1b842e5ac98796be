"""Checks of a bank or of shards that need no ear: what is heard, how loud, and what captions say of it.

Onsets are looked for where they can be told: struck or plucked notes of 82 Hz and more (below, a period is longer than
the tolerance) and drums, alone for 0.1 s on either side and as loud as what else is held or was struck just before,
while nothing is held that does not die away (bowed, blown, sung, distorted): how loud that is no velocity tells.
The detector is the flux of a log spectrum.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hsmad_cli.datasets import shards
from hsmad_cli.datasets.export import extent, notes_of
from hsmad_cli.datasets.memory import AUDIO, ClipBank
from hsmad_cli.datasets.recipes import recipes
from hsmad_cli.datasets.shards import Shards
from hsmad_cli.errors import InputError
from hsmad_cli.symbolic.instruments import instruments
from hsmad_cli.symbolic.notes import NoteTable
from hsmad_cli.symbolic.words import genre_words, names_of, words

TOLERANCE_S = 0.01
ALONE_S, MASKED_S, SEARCH_S, EDGE_S = 0.1, 0.5, 0.05, 0.15
LOWEST_TOLD = 40
STRUCK = (*range(16), *range(24, 40), 45, 46, 47, *range(104, 109), *range(112, 119))
_HELD_ON = (29, 30, 38, 39)  # overdriven and distorted guitars, synthetic basses: struck, but as loud until they end
# The log flux of a strike is largest before the middle of the window reaches it: 2 ms in dense music, 8 in silence.
WINDOW, HOP, COMPRESSION, LEAD_S = 1536, 64, 1000, 0.004
CLIPPED_RUN, FULL_SCALE = 3, 32767
SILENT_DB = -60.0
LEAST_ONSETS = 0.95


@dataclass(frozen=True)
class HeardClip:
    """A clip as it is trained on. audio: int16 [n, 2]. recipe: its name, "own" or "single"."""

    index: int
    audio: np.ndarray
    sample_rate: int
    notes: NoteTable
    captions: tuple[str, ...]
    recipe: str
    tags: tuple[str, ...]


@dataclass(frozen=True)
class ClipCheck:
    """What was found in a clip. onset_errors_s: heard minus written. false_names: (caption, instrument not playing)."""

    index: int
    onset_errors_s: np.ndarray
    clipped: bool
    level_db: float
    false_names: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Bar:
    """A value, and the least or the most that it may be."""

    name: str
    value: float
    least: float | None = None
    most: float | None = None

    @property
    def is_met(self) -> bool:
        return (self.least is None or self.value >= self.least) and (self.most is None or self.value <= self.most)


def open_clips(folder: Path) -> ClipBank | Shards:
    """The clips of a folder; raises InputError if it holds neither a bank nor shards with sound."""
    if not (folder / shards.TABLE).is_file():
        return ClipBank.load(folder)
    found = Shards(folder)
    if found.table.codec_sha256 is not None:
        raise InputError(f"{folder}: shards of latents have no sound to check")
    return found


def heard_clip(clips: ClipBank | Shards, index: int) -> HeardClip:
    """A clip of a bank or of shards; raises InputError if it is damaged."""
    if isinstance(clips, ClipBank):
        audio = clips.columns[AUDIO][extent(clips, AUDIO, index)].numpy()
        texts = clips.texts
        said = tuple(texts.captions[index]), texts.recipes[index], tuple(texts.tags[index])
        return HeardClip(index, audio, clips.rates.sample_rate, notes_of(clips, index), *said)
    sample = clips[index]
    if sample.audio is None:
        raise InputError(f"{clips.folder}: clip {index} has no sound to check")
    sheet = sample.sheet
    rate = clips.table.rates.sample_rate
    return HeardClip(index, sample.audio, rate, NoteTable(**sheet.notes), sheet.captions, sheet.recipe, sheet.tags)


def drawn(n_clips: int, n: int, seed: int) -> list[int]:
    """At most `n` different clips of `n_clips`, drawn at random, in order."""
    return sorted(np.random.default_rng(seed).permutation(n_clips)[:n].tolist())


def check_clip(clip: HeardClip) -> ClipCheck:
    """All checks of a clip."""
    return ClipCheck(
        clip.index, onset_errors(clip), is_clipped(clip.audio), level_db(clip.audio), tuple(false_names(clip))
    )


def bars(checks: Iterable[ClipCheck]) -> list[Bar]:
    """What the checks of many clips come to, and what it must be."""
    found = list(checks)
    errors_s = np.concatenate([np.zeros(0), *(check.onset_errors_s for check in found)])
    within = float((np.abs(errors_s) <= TOLERANCE_S).mean()) if len(errors_s) else 0.0
    return [
        Bar("isolated onsets", len(errors_s), least=1),
        Bar("share of them heard within 10 ms", within, least=LEAST_ONSETS),
        Bar("clipped clips", sum(check.clipped for check in found), most=0),
        Bar("silent clips", sum(check.level_db < SILENT_DB for check in found), most=0),
        Bar("captions that name what does not play", sum(len(check.false_names) for check in found), most=0),
    ]


def onset_errors(clip: HeardClip) -> np.ndarray:
    """For each isolated onset, how much later the largest flux within 50 ms of it is heard, in seconds."""
    onset_s = isolated_onsets(clip.notes, len(clip.audio) / clip.sample_rate)
    if not len(onset_s):
        return onset_s
    step_s = HOP / clip.sample_rate
    reach = round(SEARCH_S / step_s)
    first = np.rint((onset_s - LEAD_S) / step_s).astype(int) - reach
    peaks = np.array([flux.argmax() for flux in spectral_flux(clip.audio.mean(axis=1), first, 2 * reach)])
    heard_s: np.ndarray = (first + peaks + 0.5) * step_s + LEAD_S
    return heard_s - onset_s


def isolated_onsets(notes: NoteTable, seconds: float) -> np.ndarray:
    """Onsets in seconds, chords once, that can be told (see above), alone and not softer than what they join."""
    onset_s = np.unique(notes.onset_s.round(4))
    gaps = np.concatenate([[np.inf], np.diff(onset_s), [np.inf]])
    alone = (np.minimum(gaps[:-1], gaps[1:]) >= ALONE_S) & (onset_s >= EDGE_S) & (onset_s <= seconds - EDGE_S)
    is_told = notes.is_drum | (np.isin(notes.program, STRUCK) & (notes.pitch >= LOWEST_TOLD))
    told = onset_s[alone & np.isin(onset_s, notes.onset_s[is_told].round(4))]
    return np.array([at_s for at_s in told if _stands_out(notes, at_s)])


def _stands_out(notes: NoteTable, at_s: float) -> bool:
    """Whether what is struck at a time is as loud as all that is still held or was struck in the half second before,
    and nothing that does not die away is held then."""
    now = np.abs(notes.onset_s - at_s) < 1e-3
    before = (notes.onset_s < at_s) & ~now
    held = (now | before) & (notes.offset_s > at_s)
    joined = before & (held | (notes.onset_s > at_s - MASKED_S))
    is_loud = notes.velocity[now].max() >= notes.velocity[joined].max(initial=0)
    return bool(is_loud and _dies_away(notes.select(held)).all())


def _dies_away(notes: NoteTable) -> np.ndarray:
    """Bool [N], which notes are of drums or of what is struck or plucked and fades while it is held."""
    fading: np.ndarray = notes.is_drum | (np.isin(notes.program, STRUCK) & ~np.isin(notes.program, _HELD_ON))
    return fading


def spectral_flux(mono: np.ndarray, first: np.ndarray, length: int) -> Iterator[np.ndarray]:
    """Sum over frequency of what the log spectrum gains in each of `length` hops, from each hop of `first` on.

    mono: at the scale of int16. Windows are centred: value i lies at first + i + 1/2 hops.
    """
    padded = np.pad(mono.astype(np.float32) / (FULL_SCALE + 1), WINDOW // 2)
    windows = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP]
    shape = np.hanning(WINDOW).astype(np.float32) * 2 * COMPRESSION / WINDOW
    for start in first:
        level = np.log1p(np.abs(np.fft.rfft(windows[start : start + length + 1] * shape)))
        yield np.maximum(np.diff(level, axis=0), 0).sum(axis=1)


def is_clipped(audio: np.ndarray) -> bool:
    """Whether int16 audio [n, 2] stays at full scale for three samples or more."""
    full = np.abs(audio.astype(np.int32)) >= FULL_SCALE
    runs = np.lib.stride_tricks.sliding_window_view(full, CLIPPED_RUN, axis=0)
    return bool(runs.all(axis=-1).any())


def level_db(audio: np.ndarray) -> float:
    """RMS of int16 audio in dBFS, at least -120."""
    rms = np.sqrt(np.mean((audio / (FULL_SCALE + 1)) ** 2))
    return float(20 * np.log10(max(rms, 1e-6)))


def false_names(clip: HeardClip) -> list[tuple[str, str]]:
    """(caption, name) for each instrument that a caption names and no part plays.

    Those in words of style may be named, and so may a player with an adjective: a "bright piano" is any piano.
    """
    voices = set(zip(clip.notes.program.tolist(), clip.notes.is_drum.tolist(), strict=True))
    allowed = {name for voice in voices for name in names_of(*voice)}
    allowed |= {f"{tone} {name}" for tones in words()["tone"].values() for tone in tones for name in allowed}
    allowed |= {name for word in _style_words(clip) for name in names_in(word)}
    return [(caption, name) for caption in clip.captions for name in names_in(caption) if name not in allowed]


def _style_words(clip: HeardClip) -> list[str]:
    """What may be said of the clip apart from who plays: its style, its place and its sound."""
    tables = (words()[table].values() for table in ("place", "tone", "how"))
    recipe = [word for recipe in recipes() if recipe.name == clip.recipe for word in recipe.words]
    genre = [word for tag in clip.tags for word in genre_words(tag.removeprefix("genre:")) if tag.startswith("genre:")]
    return [*recipe, *genre, *(phrase for table in tables for group in table for phrase in group)]


def names_in(text: str) -> list[str]:
    """The names of instruments in a text as whole words, the longest first, none inside another."""
    return _names().findall(text)


@functools.cache
def _names() -> re.Pattern[str]:
    kits = {name for names in words()["kits"].values() for name in names}
    names = kits | {name for instrument in instruments() for name in instrument.names}
    return re.compile(r"\b(?:" + "|".join(map(re.escape, sorted(names, key=len, reverse=True))) + r")\b")
