"""The project's tables of quality: reference, codec and generated music of many excerpts, heard by the same judges."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Protocol

import numpy as np

from hsmad_cli.config import SampleConfig
from hsmad_cli.errors import HsmadError, InputError, NonFiniteError
from hsmad_cli.evaluation.note_scores import MIN_DISTINCT_VELOCITIES, HeardNotes, NoteScores, score_notes
from hsmad_cli.evaluation.statistics import mean_interval, ratio_interval
from hsmad_cli.evaluation.transcriber import DRUM_JUDGE, choose_judge, load_judge, written_notes
from hsmad_cli.evaluation.workers import Workers, done_here
from hsmad_cli.symbolic.notes import Score

REFERENCE, CODEC, GENERATED = ROLES = ("reference", "codec", "generated")
RATIOS = ((CODEC, REFERENCE), (GENERATED, CODEC), (GENERATED, REFERENCE))
AUDIBLE_F1 = 0.4

Row = dict[str, Any]
Setting = SampleConfig | None


@dataclass(frozen=True, eq=False)
class Clip:
    """A score to be played for `seconds`, time 0 at sample 0. `kind`: the set that it stands for.

    shift: how it differs from the clip of the same name that was not shifted, whose score is then `old`.
    """

    name: str
    kind: str
    score: Score
    seconds: float
    shift: str = ""
    old: Score | None = None


class Sounds(Protocol):
    """What makes the sounds of clips: float32 [2, samples] at 44.1 kHz, all of a clip equally long."""

    def reference(self, clip: Clip) -> Future[np.ndarray]: ...
    def coded(self, reference: np.ndarray) -> np.ndarray: ...
    def generated(self, clip: Clip, setting: SampleConfig) -> np.ndarray: ...


@dataclass(frozen=True, eq=False)
class Hearing:
    """A clip as one judge heard it: by role, its sounds [2, samples] and the notes in them."""

    clip: Clip
    judge: str
    setting: Setting
    sounds: dict[str, np.ndarray]
    heard: dict[str, HeardNotes]


@dataclass
class _Sound:
    """A sound that is made, what each judge hears in it (soon), and the seconds it took."""

    audio: np.ndarray
    heard: dict[str, Future[HeardNotes]]
    compute_s: float = 0.0

    @property
    def clipped(self) -> int:
        """Samples beyond +-1."""
        return int(np.count_nonzero(np.abs(self.audio) > 1))


@dataclass
class _Played:
    """A clip whose sounds are made and are being judged."""

    clip: Clip
    reference: _Sound
    codec: _Sound
    generated: dict[SampleConfig, _Sound]


@dataclass(frozen=True)
class Benchmark:
    """Which settings of `sample` are compared (none: the codec alone), by which judges, where and on how many cores."""

    sounds: Sounds
    settings: Sequence[SampleConfig]
    judges: Sequence[str] = ("auto",)
    device: str = "cpu"

    def run(
        self,
        clips: Iterable[Clip],
        workers: Workers,
        done: Callable[[Clip, list[Row]], object],
        failed: Callable[[str, HsmadError], object],
        heard: Callable[[Hearing], object] = lambda hearing: None,
    ) -> Iterator[Row]:
        """One row for each clip, judge and setting, in order, while sounds of later clips are made.

        `heard` gets what each row is of, `done` the rows of a clip, `failed` the name of one that cannot be played or
        judged, and why.
        """

        def finish(played: _Played) -> list[Row]:
            try:
                rows = list(_clip_rows(played, heard))
            except (InputError, NonFiniteError) as error:
                failed(played.clip.name, error)
                return []
            done(played.clip, rows)
            return rows

        waiting: deque[_Played] = deque()
        for clip, reference in _ahead(clips, self.sounds.reference, workers.n):
            try:
                waiting.append(self._play(clip, reference, workers))
            except (InputError, NonFiniteError) as error:
                failed(clip.name, error)
            if len(waiting) == workers.n:
                yield from finish(waiting.popleft())
        while waiting:
            yield from finish(waiting.popleft())

    def _play(self, clip: Clip, reference: Future[np.ndarray], workers: Workers) -> _Played:
        judges = judges_of(clip, self.judges)
        original = reference.result()
        return _Played(
            clip,
            self._judged(lambda: original, judges, workers),
            self._judged(partial(self.sounds.coded, original), judges, workers),
            {
                setting: self._judged(partial(self.sounds.generated, clip, setting), judges, workers)
                for setting in self.settings
            },
        )

    def _judged(self, make: Callable[[], np.ndarray], judges: Sequence[str], workers: Workers) -> _Sound:
        start = time.perf_counter()
        audio = make()
        compute_s = time.perf_counter() - start
        heard = {}
        for judge in judges:
            submit = done_here if judge == "transkun" and self.device != "cpu" else workers.submit
            heard[judge] = submit(hear, judge, self.device, audio)
        return _Sound(audio, heard, compute_s)


def hear(judge: str, device: str, audio: np.ndarray) -> HeardNotes:
    """What a judge, by name, hears."""
    return load_judge(judge, device).transcribe(audio)


def judges_of(clip: Clip, names: Sequence[str]) -> list[str]:
    """The judges of a clip, `auto` replaced by the one that suits it; drums alone are judged by their onsets only."""
    suited = choose_judge(clip.score.notes)
    if suited == DRUM_JUDGE:
        return [DRUM_JUDGE]
    return list(dict.fromkeys(suited if name == "auto" else name for name in names))


def _ahead(
    clips: Iterable[Clip], start: Callable[[Clip], Future[np.ndarray]], n: int
) -> Iterator[tuple[Clip, Future[np.ndarray]]]:
    """Clips with their references, of which `n` are being made while one is in use."""
    started: deque[tuple[Clip, Future[np.ndarray]]] = deque()
    for clip in clips:
        started.append((clip, start(clip)))
        if len(started) > n:
            yield started.popleft()
    yield from started


def _clip_rows(played: _Played, heard: Callable[[Hearing], object]) -> Iterator[Row]:
    base = {REFERENCE: played.reference, CODEC: played.codec}
    settings: dict[Setting, dict[str, _Sound]] = {
        setting: base | {GENERATED: sound} for setting, sound in played.generated.items()
    }
    for judge in played.reference.heard:
        for setting, sounds in (settings or {None: base}).items():
            notes = {role: sound.heard[judge].result() for role, sound in sounds.items()}
            heard(Hearing(played.clip, judge, setting, {role: sound.audio for role, sound in sounds.items()}, notes))
            clipped = {role: sound.clipped for role, sound in sounds.items()}
            compute_s = sounds[GENERATED].compute_s if setting else 0.0
            yield clip_row(played.clip, judge, setting, notes, clipped, compute_s)


def clip_row(
    clip: Clip, judge: str, setting: Setting, heard: dict[str, HeardNotes], clipped: dict[str, int], compute_s: float
) -> Row:
    """The scores of one clip at one setting by one judge: each figure by role (reference, codec, generated).

    They are scores against what is written; for drums, where no judge hears which drum it was, against the onsets
    heard in the reference, whose own score against the written strikes is `written_onset_f1`.
    """
    written = written_notes(clip.score.notes, judge, 0.0, clip.seconds)
    truth = truth_of(clip, judge, heard)
    scores = {role: score_notes(truth, each, listed=0) for role, each in heard.items()}
    row: Row = {
        "clip": clip.name,
        "set": clip.kind,
        "shift": clip.shift,
        "judge": judge,
        "setting": None if setting is None else asdict(setting),
        "seconds": clip.seconds,
        "n_written": len(written),
        "distinct_velocities": len(np.unique(written.velocity)) if written.velocity is not None else 0,
        "onset_f1": {role: each.onset.f1 for role, each in scores.items()},
        "onset_offset_f1": {role: each.onset_offset.f1 for role, each in scores.items()},
        "median_absolute_ms": {role: each.timing.median_absolute_ms for role, each in scores.items()},
        "bias_ms": {role: each.timing.bias_ms for role, each in scores.items()},
        "velocity_correlation": _velocity(scores, written),
        "clipped_samples": clipped,
        "compute_s": compute_s,
    }
    if judge == DRUM_JUDGE:
        row["written_onset_f1"] = score_notes(written, heard[REFERENCE], listed=0).onset.f1
    if clip.old is not None:
        before = written_notes(clip.old.notes, judge, 0.0, clip.seconds)
        row["old_onset_f1"] = {role: score_notes(before, each, listed=0).onset.f1 for role, each in heard.items()}
    return row


def truth_of(clip: Clip, judge: str, heard: dict[str, HeardNotes]) -> HeardNotes:
    """What should be heard: what is written, or, for drums, what is heard in the reference."""
    return heard[REFERENCE] if judge == DRUM_JUDGE else written_notes(clip.score.notes, judge, 0.0, clip.seconds)


def _velocity(scores: dict[str, NoteScores], written: HeardNotes) -> dict[str, float | None]:
    """Correlations by role, unless fewer than 16 distinct velocities are written: then they mean nothing."""
    varied = written.velocity is not None and len(np.unique(written.velocity)) >= MIN_DISTINCT_VELOCITIES
    return {role: each.velocity_correlation if varied else None for role, each in scores.items()}


def summarise_clips(rows: Iterable[Row], min_reference_f1: float = AUDIBLE_F1) -> list[Row]:
    """The table: one row for each set, shift, judge and setting, in order of appearance, with 95 % intervals.

    Clips in whose reference the judge finds too little (`min_reference_f1`) are counted and left out, but for
    `onset_f1_of_all`; ratios are ratios of means.
    """
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(str([row["set"], row["shift"], row["judge"], row["setting"]]), []).append(row)
    return [_table_row(group, min_reference_f1) for group in groups.values()]


def _table_row(rows: Sequence[Row], min_reference_f1: float) -> Row:
    kept = [row for row in rows if row["onset_f1"][REFERENCE] >= min_reference_f1]
    roles = [role for role in ROLES if role in rows[0]["onset_f1"]]
    row: Row = {key: rows[0][key] for key in ("set", "shift", "judge", "setting")}
    row |= {"n": len(kept), "n_left_out": len(rows) - len(kept)}
    row["onset_f1_of_all"] = _means(rows, "onset_f1", roles)
    for key in ("onset_f1", "onset_offset_f1", "velocity_correlation"):
        complete = [row for row in kept if None not in row[key].values()]
        row[key] = _means(complete, key, roles)
        row[f"{key}_ratio"] = _ratios(complete, key, roles)
    for key in ("median_absolute_ms", "bias_ms"):
        complete = [row for row in kept if None not in row[key].values()]
        row[key] = _means(complete, key, roles)
        row[f"{key}_minus_reference"] = {
            role: _interval(mean_interval([each[key][role] - each[key][REFERENCE] for each in complete]))
            for role in roles[1:]
        }
    if "old_onset_f1" in rows[0]:
        row["old_onset_f1"] = _means(kept, "old_onset_f1", roles)
    if "written_onset_f1" in rows[0]:
        row["written_onset_f1"] = _interval(mean_interval([each["written_onset_f1"] for each in kept]))
    row["clipped_samples"] = {role: sum(each["clipped_samples"][role] for each in rows) for role in roles}
    row["seconds"] = sum(each["seconds"] for each in rows)
    row["compute_s"] = sum(each["compute_s"] for each in rows)
    return row


def _means(rows: Sequence[Row], key: str, roles: Sequence[str]) -> Row:
    return {role: _interval(mean_interval([row[key][role] for row in rows])) for role in roles}


def _ratios(rows: Sequence[Row], key: str, roles: Sequence[str]) -> Row:
    return {
        f"{above}/{below}": _interval(
            ratio_interval([row[key][above] for row in rows], [row[key][below] for row in rows])
        )
        for above, below in RATIOS
        if above in roles
    }


def _interval(interval: Any) -> Row | None:
    return None if interval is None else asdict(interval)
