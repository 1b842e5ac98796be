"""What a score says in words: who plays, how fast, in which mode. It is the prompt of `sample` without --style."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from hsmad_cli.symbolic.harmony import estimate_keys
from hsmad_cli.symbolic.notes import NoteTable, Score
from hsmad_cli.symbolic.words import genre_words, names_of, words

AUDIBLE_SHARE, AUDIBLE_NOTES, MAX_PLAYERS = 0.01, 2, 6
_SLOW, _FAST = (84.0, 2.5), (126.0, 5.0)
_SOFT, _LOUD = 56.0, 98.0
_MODE_SHARE = 0.85
_MOODS = {"calm": {"slow", "soft"}, "driving": {"fast", "loud"}, "sad": {"slow", "minor"}, "happy": {"fast", "major"}}


@dataclass(frozen=True)
class Facts:
    """What is true of a clip and may be said.

    styles: words for the style (empty: none is known). players: all names of each instrument that sounds, the most
    active first. traits: keys that apply of other tables of words.toml, such as {"place": ("hall",)}.
    """

    styles: tuple[str, ...]
    players: tuple[tuple[str, ...], ...]
    solo: bool
    traits: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def phrases(self, table: str) -> tuple[str, ...]:
        """All that a table of words.toml has to say of it."""
        return tuple(phrase for key in self.traits.get(table, ()) for phrase in words()[table][key])


def facts(score: Score, styles: Sequence[str] = (), place: str = "", tones: Sequence[str] = ()) -> Facts:
    """What may be said of a score that is played in this style, at this place, with these tones."""
    notes = score.notes
    voices = sounding(notes)
    solo = len(voices) == 1 and not voices[0][1] and len(np.unique(notes.part)) == 1
    dynamics, paces, modes = _dynamics(notes), _paces(score), _modes(score)
    traits = {
        "place": (place,) if place else (),
        "tone": (*tones, *dynamics),
        "how": tuple(tone for tone in tones if tone in words()["how"]),
        "pace": paces,
        "mood": _moods({*dynamics, *paces, *modes}),
        "mode": modes,
    }
    return Facts(tuple(styles), tuple(names_of(*voice) for voice in voices), solo, traits)


def sounding(notes: NoteTable) -> list[tuple[int, bool]]:
    """(program, is_drum) of all that sounds enough to be named, most notes first."""
    if not len(notes):
        return []
    voices, counts = np.unique(np.stack([notes.program, notes.is_drum], 1), axis=0, return_counts=True)
    least = min(max(AUDIBLE_NOTES, AUDIBLE_SHARE * len(notes)), counts.max())
    order = sorted(range(len(voices)), key=lambda i: (-counts[i], *voices[i].tolist()))
    return [(int(voices[i][0]), bool(voices[i][1])) for i in order if counts[i] >= least]


def _dynamics(notes: NoteTable) -> tuple[str, ...]:
    mean_velocity = float(notes.velocity.mean()) if len(notes) else 80.0
    return ("loud",) if mean_velocity > _LOUD else ("soft",) if mean_velocity < _SOFT else ()


def _paces(score: Score) -> tuple[str, ...]:
    """Whether it is slow or fast, said only where tempo and the density of onsets agree."""
    notes = score.notes
    if len(notes) < 8:
        return ()
    seconds = max(float(notes.onset_s.max() - notes.onset_s.min()), 1.0)
    strikes_per_s = len(np.unique(np.rint(notes.onset_s / 0.05))) / seconds
    bpm = float(np.median(score.tempo_bpm))
    if bpm <= _SLOW[0] and strikes_per_s < _SLOW[1]:
        return ("slow",)
    return ("fast",) if bpm >= _FAST[0] and strikes_per_s > _FAST[1] else ()


def _modes(score: Score) -> tuple[str, ...]:
    """Major or minor, said only where nearly all of it is."""
    edges, keys = estimate_keys(score)
    if not len(keys):
        return ()
    minor = float(np.average(keys >= 12, weights=np.diff(edges)))
    return ("minor",) if minor >= _MODE_SHARE else ("major",) if minor <= 1 - _MODE_SHARE else ()


def _moods(heard: set[str]) -> tuple[str, ...]:
    """The moods whose two causes are both heard."""
    causes = {
        "calm": {"slow", "soft"},
        "driving": {"fast", "loud"},
        "sad": {"slow", "minor"},
        "happy": {"fast", "major"},
    }
    return tuple(mood for mood, both in causes.items() if both <= heard)


def caption(score: Score, genre: str = "") -> str:
    """A prompt such as "jazz, acoustic bass, grand piano and drums, slow": the usual words, without any that is unsure.

    It has the form of a caption of training, and only words of those; a score without notes has none.
    """
    known = facts(score, genre_words(genre.strip()))
    players = spoken_list([names[0] for names in known.players[:MAX_PLAYERS]])
    solo = f"solo {players}" if known.solo else players
    phrases = (*known.styles[:1], solo, *known.phrases("pace")[:1], *known.phrases("mood")[:1])
    return ", ".join(phrase for phrase in phrases if phrase)


def spoken_list(names: Sequence[str]) -> str:
    """The names, each once, as in "flute, harp and cello"."""
    different = list(dict.fromkeys(names))
    return " and ".join(filter(None, (", ".join(different[:-1]), *different[-1:])))
