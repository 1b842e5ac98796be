"""The tables of quality, with numbers that can be worked out by hand."""

from __future__ import annotations

from concurrent.futures import Future
from typing import Any

import numpy as np
import pytest

from hsmad_cli.config import SampleConfig
from hsmad_cli.errors import InputError, NonFiniteError
from hsmad_cli.evaluation import benchmark as module
from hsmad_cli.evaluation.benchmark import Benchmark, Clip, clip_row, judges_of, summarise_clips
from hsmad_cli.evaluation.note_scores import HeardNotes
from hsmad_cli.evaluation.workers import Workers, done_here
from hsmad_cli.symbolic.notes import NoteTable, Score

N = 20
SETTING = SampleConfig()


def score_of(pitch: int = 60, program: int = 40, velocities: int = N, drums: bool = False, delay_s: float = 0) -> Score:
    """Twenty notes of one pitch, one a second, of so many distinct velocities."""
    onset_s = np.arange(N) + delay_s
    velocity = 40 + np.arange(N) % velocities
    columns = (onset_s, onset_s + 0.5, np.full(N, pitch), velocity, np.full(N, program), np.full(N, drums), np.zeros(N))
    return Score(NoteTable(*columns))


def heard(delay_s: float = 0.0, missed: int = 0, length_s: float = 0.5, velocity: bool = False) -> HeardNotes:
    """The same notes as a judge hears them, the first `missed` left out."""
    rows = [(n + delay_s, n + delay_s + length_s, 60, 40 + n)[: 4 if velocity else 3] for n in range(missed, N)]
    return HeardNotes.from_rows(rows, velocity)


def clip_of(score: Score, **fields: Any) -> Clip:
    return Clip(**{"name": "song", "kind": "ensembles", "score": score, "seconds": float(N), **fields})


def row_of(clip: Clip, sounds: dict[str, HeardNotes], judge: str = "basic-pitch") -> dict[str, Any]:
    return clip_row(clip, judge, SETTING, sounds, dict.fromkeys(sounds, 1), compute_s=2.0)


def test_a_row_has_the_scores_of_every_role() -> None:
    sounds = {"reference": heard(), "codec": heard(0.01, length_s=0.2), "generated": heard(0.02, missed=10)}
    row = row_of(clip_of(score_of()), sounds)
    assert row["onset_f1"] == {"reference": 1, "codec": 1, "generated": pytest.approx(2 * 10 / 30)}
    assert row["onset_offset_f1"] == {"reference": 1, "codec": 0, "generated": pytest.approx(2 * 10 / 30)}
    assert row["bias_ms"] == {"reference": 0, "codec": pytest.approx(10), "generated": pytest.approx(20)}
    assert row["setting"]["w_h"] == 4


def test_ratios_are_of_means_and_timing_is_relative_to_the_reference() -> None:
    """F1 of two clips: reference 1 and 2/3, codec 1 and 2/3, generated 2/3 and 2/3."""
    half, late = heard(missed=10), heard(0.03, missed=10)
    first = row_of(clip_of(score_of()), {"reference": heard(0.01), "codec": heard(0.01), "generated": late})
    second = row_of(clip_of(score_of()), {"reference": half, "codec": half, "generated": half})
    (row,) = summarise_clips([first, second])
    assert (row["n"], row["n_left_out"]) == (2, 0)
    assert row["onset_f1"]["reference"]["value"] == pytest.approx(5 / 6)
    assert row["onset_f1_ratio"]["generated/codec"]["value"] == pytest.approx((4 / 3) / (5 / 3))
    assert row["onset_f1_ratio"]["codec/reference"]["value"] == 1
    assert row["median_absolute_ms_minus_reference"]["generated"]["value"] == pytest.approx((20 + 0) / 2)
    assert row["bias_ms_minus_reference"]["codec"]["value"] == pytest.approx(0)
    assert row["clipped_samples"] == {"reference": 2, "codec": 2, "generated": 2}
    assert (row["seconds"], row["compute_s"]) == (40, 4)


def test_clips_that_the_judge_cannot_hear_are_left_out_and_counted() -> None:
    """A reference of which 4 notes of 20 are heard has an F1 of 8 / 24."""
    faint = row_of(clip_of(score_of()), {"reference": heard(missed=16), "codec": heard(missed=16)})
    clear = row_of(clip_of(score_of()), {"reference": heard(), "codec": heard(missed=10)})
    (row,) = summarise_clips([faint, clear], 0.4)
    assert (row["n"], row["n_left_out"]) == (1, 1)
    assert row["onset_f1"]["codec"]["value"] == pytest.approx(2 / 3)
    assert row["onset_f1_of_all"]["codec"]["value"] == pytest.approx((2 / 3 + 1 / 3) / 2)
    assert summarise_clips([faint, clear], 0.3)[0]["n"] == 2


def test_velocities_count_where_sixteen_of_them_are_written() -> None:
    sounds = {role: heard(velocity=True) for role in ("reference", "codec", "generated")}
    varied = row_of(clip_of(score_of(program=0)), sounds, "transkun")
    flat = row_of(clip_of(score_of(program=0, velocities=15)), sounds, "transkun")
    assert varied["velocity_correlation"]["generated"] == pytest.approx(1)
    assert flat["velocity_correlation"] == {"reference": None, "codec": None, "generated": None}
    (row,) = summarise_clips([varied, flat])
    assert row["n"] == 2
    assert row["velocity_correlation"]["codec"]["n"] == 1


def test_a_shifted_clip_is_asked_for_its_new_notes_and_its_old_ones() -> None:
    """170 ms are more than the tolerance: who plays the shifted score plays none of the old notes, and vice versa."""
    clip = clip_of(score_of(delay_s=0.17), shift="+170 ms", old=score_of(), seconds=N + 0.17)
    row = row_of(clip, {"reference": heard(0.17), "codec": heard(0.17), "generated": heard()})
    assert row["onset_f1"] == {"reference": 1, "codec": 1, "generated": 0}
    assert row["old_onset_f1"] == {"reference": 0, "codec": 0, "generated": 1}
    higher = clip_of(score_of(pitch=63), shift="+3 semitones", old=score_of())
    row = row_of(higher, {"reference": heard(), "codec": heard(), "generated": heard()})
    assert (row["onset_f1"]["generated"], row["old_onset_f1"]["generated"]) == (0, 1)
    assert summarise_clips([row], 0.0)[0]["old_onset_f1"]["generated"]["value"] == 1


def test_drums_are_compared_with_what_is_heard_in_the_reference() -> None:
    strikes = HeardNotes.from_rows([(n, n, 0) for n in range(10)], velocity=False)
    half = strikes.select(np.arange(5))
    clip = clip_of(score_of(drums=True), kind="drums")
    row = row_of(clip, {"reference": strikes, "codec": strikes, "generated": half}, "librosa-onset")
    assert row["onset_f1"] == {"reference": 1, "codec": 1, "generated": pytest.approx(10 / 15)}
    assert row["written_onset_f1"] == pytest.approx(20 / 30)


def test_judges_suit_the_clip() -> None:
    piano, strings, drums = clip_of(score_of(program=0)), clip_of(score_of()), clip_of(score_of(drums=True))
    assert judges_of(piano, ["auto", "basic-pitch"]) == ["transkun", "basic-pitch"]
    assert judges_of(strings, ["auto", "basic-pitch"]) == ["basic-pitch"]
    assert judges_of(drums, ["transkun"]) == ["librosa-onset"]


def test_sets_shifts_judges_and_settings_are_rows_of_their_own() -> None:
    sounds = {"reference": heard(), "codec": heard()}
    clips = [clip_of(score_of(), kind=kind, shift=shift) for kind in ("piano", "bands") for shift in ("none", "+1")]
    n_clipped = {"reference": 0, "codec": 0}
    rows = [
        clip_row(clip, "basic-pitch", setting, sounds, n_clipped, 0) for setting in (None, SETTING) for clip in clips
    ]
    table = summarise_clips(rows + rows)
    assert [row["n"] for row in table] == [2] * 8
    assert [row["set"] for row in table][:4] == ["piano", "piano", "bands", "bands"]


class Ear:
    """Hears in a sound as many notes as its first sample says; an empty sound is one that it cannot judge."""

    def transcribe(self, audio: np.ndarray) -> HeardNotes:
        if audio[0, 0] < 0:
            raise InputError("too quiet")
        return heard(missed=N - int(audio[0, 0]))


class Players:
    """The reference has 20 notes, the codec leaves 16, the model plays 2 for each unit of w_h; song 1 is broken."""

    def __init__(self) -> None:
        self.n_references = 0

    def reference(self, clip: Clip) -> Future[np.ndarray]:
        self.n_references += 1
        return done_here(np.full, (2, 4), -1.0 if clip.name == "quiet" else 20.0)

    def coded(self, reference: np.ndarray) -> np.ndarray:
        return 0.8 * reference

    def generated(self, clip: Clip, setting: SampleConfig) -> np.ndarray:
        if clip.name == "broken":
            raise NonFiniteError("not finite")
        return np.full((2, 4), 2 * setting.w_h)


def test_a_run_makes_references_once_and_goes_on_after_a_bad_clip(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "load_judge", lambda name, device: Ear())
    players, told, failed, hearings = Players(), [], {}, []
    clips = [clip_of(score_of(), name=name) for name in ("first", "broken", "quiet", "last")]
    test = Benchmark(players, [SampleConfig(w_h=5), SampleConfig(w_h=8)])
    with Workers(1) as workers:
        rows = list(
            test.run(
                clips,
                workers,
                lambda clip, rows: told.append(clip.name),
                lambda name, e: failed.update({name: e}),
                hearings.append,
            )
        )
    assert players.n_references == 4
    assert told == ["first", "last"]
    assert {name: str(error) for name, error in failed.items()} == {"broken": "not finite", "quiet": "too quiet"}
    assert [row["clip"] for row in rows] == ["first", "first", "last", "last"]
    asked = [(each.clip.name, each.setting.w_h) for each in hearings]
    assert asked == [("first", 5), ("first", 8), ("last", 5), ("last", 8)]
    assert [sound[0, 0] for sound in hearings[1].sounds.values()] == [20, 16, 16]
    assert [len(notes) for notes in hearings[1].heard.values()] == [20, 16, 16]
    table = summarise_clips(rows)
    assert [row["setting"]["w_h"] for row in table] == [5, 8]
    assert [row["onset_f1"]["generated"]["value"] for row in table] == pytest.approx([20 / 30, 32 / 36])
    assert table[0]["clipped_samples"] == {"reference": 16, "codec": 16, "generated": 16}


def test_a_codec_alone_has_one_row_without_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "load_judge", lambda name, device: Ear())
    with Workers(1) as workers:
        rows = list(Benchmark(Players(), []).run([clip_of(score_of())], workers, print, print))
    (row,) = summarise_clips(rows)
    assert row["setting"] is None
    assert set(row["onset_f1_ratio"]) == {"codec/reference"}
    assert row["onset_f1_ratio"]["codec/reference"]["value"] == pytest.approx(32 / 36)
