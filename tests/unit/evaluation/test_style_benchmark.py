"""The tables of style, with verdicts that can be counted by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hsmad_cli.config import SampleConfig
from hsmad_cli.evaluation.benchmark import Hearing, clip_row
from hsmad_cli.evaluation.linear_classifier import LinearClassifier
from hsmad_cli.evaluation.note_scores import HeardNotes
from hsmad_cli.evaluation.style_benchmark import Ear, Listener, PromptedClip, summarise_styles
from hsmad_cli.symbolic.notes import NoteTable, Score

N = 20
SETTING = SampleConfig()
ROLES = ("reference", "codec", "generated")


def first_samples(audio: np.ndarray) -> np.ndarray:
    """The embedding of a sound is its first sample of each channel."""
    return audio[:, 0]


def listener() -> Listener:
    return Listener(Ear(first_samples, LinearClassifier(("jazz", "rock"), np.eye(2), np.zeros(2))))


def clip_of(kind: str, name: str = "song", prompt: str = "some words") -> PromptedClip:
    onset_s = np.arange(float(N))
    columns = (onset_s, onset_s + 0.5, np.full(N, 60), np.full(N, 80), np.full(N, 40), np.zeros(N, bool), np.zeros(N))
    return PromptedClip(name, kind, Score(NoteTable(*columns)), float(N), prompt=prompt)


def heard(n: int) -> HeardNotes:
    return HeardNotes.from_rows([(i, i + 0.5, 60) for i in range(n)], velocity=False)


def row_of(clip: PromptedClip, right: dict[str, bool], n_heard: dict[str, int]) -> dict[str, Any]:
    """A row whose sounds are named rightly or not, and of whose notes so many are heard."""
    ear, other = listener(), {"jazz": "rock", "rock": "jazz"}
    vectors = {"jazz": np.array([[1.0], [0.0]]), "rock": np.array([[0.0], [1.0]])}
    sounds = {role: vectors[clip.kind if right[role] else other[clip.kind]] for role in ROLES}
    notes = {role: heard(n_heard[role]) for role in ROLES}
    ear(Hearing(clip, "basic-pitch", SETTING, sounds, notes))
    return ear.with_verdict(clip_row(clip, "basic-pitch", SETTING, notes, dict.fromkeys(ROLES, 0), 1.0))


ALL_HEARD = dict.fromkeys(ROLES, N)


def test_a_verdict_says_rank_name_and_prompt() -> None:
    row = row_of(clip_of("rock"), {"reference": True, "codec": True, "generated": False}, ALL_HEARD)
    assert row["rank"] == {"reference": 1, "codec": 1, "generated": 2}
    assert row["named"] == {"reference": "rock", "codec": "rock", "generated": "jazz"}
    assert row["prompt"] == "some words"


def test_the_table_has_every_label_and_all_of_them() -> None:
    """Named rightly: jazz 2 of 2 references and 1 of 2 generated, rock 1 of 2 and 0 of 2. F1: 1 and 2 x 10 / 30."""
    right = [(True, True), (True, False), (True, False), (False, False)]
    rows = [
        row_of(
            clip_of(kind, name),
            {"reference": reference, "codec": True, "generated": generated},
            ALL_HEARD | {"generated": N if kind == "jazz" else N // 2},
        )
        for (kind, name), (reference, generated) in zip(
            [("jazz", "a"), ("jazz", "b"), ("rock", "a"), ("rock", "b")], right, strict=True
        )
    ]
    jazz, rock, everything = summarise_styles(rows, 2, lambda text: text.split()[:1])
    assert [row["set"] for row in (jazz, rock, everything)] == ["jazz", "rock", "all"]
    assert jazz["top1"]["reference"]["value"] == 1
    assert jazz["top1_ratio"]["generated/reference"]["value"] == 0.5
    assert rock["top1"]["generated"]["value"] == 0
    assert rock["top5"]["generated"]["value"] == 1
    assert everything["top1"]["reference"]["value"] == 0.75
    assert everything["top1_ratio"]["generated/reference"]["value"] == pytest.approx(1 / 3)
    assert (everything["n_named"], everything["chance"]) == (4, 0.5)
    assert everything["unknown_words"] == ["some"]
    ratio = everything["onset_f1_ratio_of_labels"]
    assert (ratio["n"], ratio["worst_label"]) == (2, "rock")
    assert (ratio["mean"], ratio["worst"]) == (pytest.approx((1 + 2 / 3) / 2), pytest.approx(2 / 3))


def test_names_count_where_notes_cannot_be_heard() -> None:
    right = dict.fromkeys(ROLES, True)
    rows = [row_of(clip_of("jazz"), right, dict.fromkeys(ROLES, 2)), row_of(clip_of("rock"), right, ALL_HEARD)]
    jazz, _, everything = summarise_styles(rows, 2, lambda text: [])
    assert (jazz["n"], jazz["n_named"]) == (0, 1)
    assert (everything["n"], everything["n_named"]) == (1, 2)
    assert everything["onset_f1_ratio_of_labels"]["n"] == 1


def test_without_an_ear_there_are_notes_and_no_names() -> None:
    clip, deaf = clip_of("jazz", prompt="smooth jazz"), Listener(None)
    notes = {"reference": heard(N), "codec": heard(N), "generated": heard(N // 2)}
    deaf(Hearing(clip, "basic-pitch", SETTING, dict.fromkeys(notes, np.zeros((2, 1))), notes))
    row = deaf.with_verdict(clip_row(clip, "basic-pitch", SETTING, notes, dict.fromkeys(notes, 0), 1.0))
    assert (row["prompt"], "rank" in row) == ("smooth jazz", False)
    jazz, everything = summarise_styles([row], 1, lambda text: text.split()[:1])
    for each in (jazz, everything):
        assert each["n_named"] == 0
        assert not {"top1", "top5", "top1_ratio"} & set(each)
        assert each["onset_f1_ratio"]["generated/reference"]["value"] == pytest.approx(2 / 3)
    assert (jazz["unknown_words"], jazz["prompts"]) == (["smooth"], ["smooth jazz"])


def test_every_setting_has_its_own_verdicts() -> None:
    ear, clip = listener(), clip_of("jazz")
    for w_s, sound in ((0.0, np.array([[0.0], [1.0]])), (1.0, np.array([[1.0], [0.0]]))):
        setting = SampleConfig(w_s=w_s)
        ear(Hearing(clip, "basic-pitch", setting, {"generated": sound}, {}))
    notes = {"reference": heard(N), "generated": heard(N)}
    rows = [
        clip_row(clip, "basic-pitch", SampleConfig(w_s=w_s), notes, dict.fromkeys(notes, 0), 1.0) for w_s in (0.0, 1.0)
    ]
    assert [ear.with_verdict(row)["rank"]["generated"] for row in rows] == [2, 1]
