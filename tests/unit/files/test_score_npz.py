"""A roll that went through a file is the roll."""

from __future__ import annotations

import re
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch

from hsmad_cli.errors import InputError
from hsmad_cli.files import score_npz
from hsmad_cli.files.npz import encode_npz, load_npz
from hsmad_cli.files.score_npz import ScoreRoll, StoredFeatures, load_features, load_roll, save_features, save_roll
from hsmad_cli.symbolic.dynamics import with_dynamics
from hsmad_cli.symbolic.notes import Ledger, NoteTable, Score
from hsmad_cli.symbolic.srm import LAYOUT

RATE = (44100, 882)


@pytest.fixture
def score() -> Score:
    notes = NoteTable(
        onset_s=np.array([0.1, 0.25, 0.3]),
        offset_s=np.array([0.5, 0.9, 1.4]),
        pitch=np.array([60, 38, 67]),
        velocity=np.array([80, 100, 40]),
        program=np.array([40, 0, 41]),
        is_drum=np.array([False, True, False]),
        part=np.array([0, 1, 0]),
    )
    ledger = Ledger(read=4, rendered=3, dropped={"pitch outside 21 to 108": 1})
    return Score(notes, chords=((0.0, 1.0, "C:maj"),), ledger=ledger, title="Étude")


def whole(roll: ScoreRoll, multiple: int = 1) -> torch.Tensor:
    return torch.cat(list(roll.blocks(multiple)), 1)


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(score_npz, "BLOCK_FRAMES", 64)


def test_a_roll_comes_back_to_the_bit_with_its_score(score: Score, tmp_path: Path) -> None:
    roll = ScoreRoll.of(score, RATE)
    save_roll(tmp_path / "roll.npz", roll)
    read = load_roll(tmp_path / "roll.npz")
    assert torch.equal(whole(read), whole(roll))
    assert (read.caption, read.duration_s, read.frame_rate, read.n_frames) == (roll.caption, 3.4, RATE, 170)
    assert (read.score.ledger, read.score.chords, read.score.title) == (score.ledger, score.chords, score.title)
    for name, column in score.notes.columns().items():
        np.testing.assert_array_equal(getattr(read.score.notes, name), column)


def test_wider_dynamics_are_those_of_the_wider_score_also_after_a_file(score: Score, tmp_path: Path) -> None:
    roll = ScoreRoll.of(score, RATE)
    save_roll(tmp_path / "roll.npz", roll)
    wider = whole(ScoreRoll.of(with_dynamics(score, 1.5), RATE))
    assert not torch.equal(wider, whole(roll))
    for written in (roll, load_roll(tmp_path / "roll.npz")):
        assert torch.equal(whole(written.with_dynamics(1.5)), wider)
        assert torch.equal(whole(written.with_dynamics(1.0)), whole(roll))
        assert written.with_dynamics(1.5).score is written.score


def test_what_was_edited_in_a_roll_keeps_its_dynamics(score: Score, tmp_path: Path) -> None:
    save_roll(tmp_path / "roll.npz", ScoreRoll.of(score, RATE))
    arrays, meta = load_npz(tmp_path / "roll.npz", "srm")
    edited = arrays["union_onset"].copy()
    struck = np.argwhere(edited > 0)[0]
    edited[tuple(struck)] = 0.123
    read = load_roll(BytesIO(encode_npz({**arrays, "union_onset": edited}, meta))).with_dynamics(1.5)
    wider = whole(ScoreRoll.of(with_dynamics(score, 1.5), RATE))[0, :, LAYOUT.union_onset]
    heard = whole(read)[0, :, LAYOUT.union_onset]
    assert float(heard[tuple(struck)]) == pytest.approx(0.123)
    assert int((heard != wider).sum()) == 1


def test_a_roll_kept_in_half_precision_has_its_dynamics_widened_too(score: Score, tmp_path: Path) -> None:
    save_roll(tmp_path / "roll.npz", ScoreRoll.of(score, RATE))
    arrays, meta = load_npz(tmp_path / "roll.npz", "srm")
    planes = {name: array.astype(np.float16) for name, array in arrays.items() if array.ndim == 2}
    read = load_roll(BytesIO(encode_npz({**arrays, **planes}, meta)))
    wider = whole(ScoreRoll.of(with_dynamics(score, 1.5), RATE))
    torch.testing.assert_close(whole(read.with_dynamics(1.5)), wider)


@pytest.mark.parametrize(
    "change",
    [
        {"note_program": np.array([40, 0, 200])},
        {"note_velocity": np.array([80.0, 100.0, -1.0])},
        {"note_pitch": np.array([[60, 38, 67]])},
        {"pedal_s": np.array([0.5])},
    ],
)
def test_notes_that_no_roll_can_be_rendered_from_are_an_input_error(score: Score, tmp_path: Path, change) -> None:
    save_roll(tmp_path / "roll.npz", ScoreRoll.of(score, RATE))
    arrays, meta = load_npz(tmp_path / "roll.npz", "srm")
    with pytest.raises(InputError, match="the meta or notes of this SRM are damaged"):
        load_roll(BytesIO(encode_npz({**arrays, **change}, meta)))


def test_padding_is_silence_up_to_the_multiple(score: Score) -> None:
    roll = ScoreRoll.of(score, RATE)
    padded = whole(roll, 16)
    assert padded.shape[1] == 176
    assert torch.equal(padded[:, :170], whole(roll))
    assert not padded[:, 170:].any()


def test_groups_that_do_not_occur_are_not_stored(score: Score, tmp_path: Path) -> None:
    def families(of: Score) -> set[str]:
        save_roll(tmp_path / "roll.npz", ScoreRoll.of(of, RATE))
        return {name for name in load_npz(tmp_path / "roll.npz", "srm")[0] if not name.startswith(("note", "union"))}

    curves = {"tempo_s", "tempo_bpm", "pedal_s", "pedal_value", "beats_s"}
    strings, drums = {"family_onset_05", "family_cover_05"}, {"family_onset_16", "family_cover_16"}
    assert families(score) - curves == strings | drums | {"programs", "kits"}
    pitched = replace(score, notes=score.notes.select(~score.notes.is_drum))
    assert families(pitched) - curves == strings | {"programs"}
    pedal = replace(pitched, pedal_s=np.array([0.5]), pedal_value=np.array([1.0]))
    assert families(pedal) - curves == strings | {"programs", "pedal"}


def test_damage_is_an_input_error(score: Score, tmp_path: Path) -> None:
    save_roll(tmp_path / "roll.npz", ScoreRoll.of(score, RATE))
    arrays, meta = load_npz(tmp_path / "roll.npz", "srm")

    def reading(changes: dict, **meta_changes: object) -> None:
        kept = {name: array for name, array in {**arrays, **changes}.items() if array is not None}
        load_roll(encode_npz(kept, {**meta, **meta_changes}))

    with pytest.raises(InputError, match=r"family_onset_05 is \(3, 88\), expected \(170, 88\)"):
        reading({"family_onset_05": np.zeros((3, 88), np.float32)})
    for changes, meta_changes in (
        ({"note_pitch": None}, {}),
        ({"note_pitch": np.zeros(7)}, {}),
        ({}, {"frame_rate": [0, 1]}),
        ({}, {"frame_rate": "50"}),
        ({}, {"ledger": {"seen": 1}}),
    ):
        with pytest.raises(InputError, match="the meta or notes of this SRM are damaged"):
            reading(changes, **meta_changes)


def test_features_come_back(tmp_path: Path) -> None:
    levels = [
        np.random.default_rng(n).normal(size=(frames, 4)).astype(np.float32) for n, frames in enumerate((16, 4, 1))
    ]
    features = StoredFeatures(*levels, "solo piano", 0.3, RATE, 1.5, "free", Ledger(2, 2), "abc")
    save_features(tmp_path / "features.npz", features)
    read = load_features((tmp_path / "features.npz").read_bytes())
    for level in ("event", "local", "global_"):
        np.testing.assert_array_equal(getattr(read, level), getattr(features, level))
    assert (read.caption, read.frame_rate, read.dynamics, read.instruments) == ("solo piano", RATE, 1.5, "free")
    assert (read.ledger, read.denoiser_sha256) == (Ledger(2, 2), "abc")
    arrays, meta = load_npz(tmp_path / "features.npz", "features")
    old = load_features(BytesIO(encode_npz(arrays, {k: meta[k] for k in meta.keys() - {"dynamics", "instruments"}})))
    assert (old.dynamics, old.instruments) == (1, None)
    save_features(tmp_path / "old.npz", old)
    assert "instruments" not in load_npz(tmp_path / "old.npz", "features")[1]
    for damaged in ({"kind": "features"}, {**meta, "instruments": "both"}):
        with pytest.raises(InputError, match="the meta of these features is damaged"):
            load_features(BytesIO(encode_npz(arrays, damaged)))


DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "files.md"


def documented(kind: str) -> set[str]:
    """The keys in the first column of the tables of a kind; `NN` stands for a number of two digits."""
    section = DOCUMENT.read_text(encoding="utf-8").split(f"## `{kind}`")[1].split("\n## ")[0]
    return set(re.findall(r"^\| `([\w.]+)`", section, re.MULTILINE))


def test_the_document_names_every_key(score: Score, tmp_path: Path) -> None:
    pedal = replace(score, pedal_s=np.array([0.5]), pedal_value=np.array([1.0]))
    save_roll(tmp_path / "roll.npz", ScoreRoll.of(pedal, RATE))
    arrays, meta = load_npz(tmp_path / "roll.npz", "srm")
    found = {re.sub(r"_\d\d$", "_NN", name) for name in arrays} | {f"meta.{key}" for key in meta}
    assert documented("srm") == found
    levels = [np.zeros((1, 1), np.float32)] * 3
    save_features(tmp_path / "features.npz", StoredFeatures(*levels, "", 1.0, RATE, 1.0, "midi", Ledger(), ""))
    arrays, meta = load_npz(tmp_path / "features.npz", "features")
    assert documented("features") == set(arrays) | {f"meta.{key}" for key in meta}
