"""Excerpts: which scores, which part of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tiny_scores import make_score
from tiny_trees import write_slakh

from hsmad_cli.datasets.excerpts import Choice, cut, drums_alone, excerpts
from hsmad_cli.datasets.layouts import list_folder
from hsmad_cli.datasets.manifest import Item
from hsmad_cli.errors import InputError
from hsmad_cli.files.midi import write_midi
from hsmad_cli.symbolic.notes import Score

CHOICE = Choice(n=10, seconds=5.0, start_s=2.0)


def piano(seed: int) -> Score:
    score = make_score(seed)
    return replace(score, notes=score.notes.select((score.notes.program == 0) & ~score.notes.is_drum))


@pytest.fixture(scope="module")
def items(tmp_path_factory: pytest.TempPathFactory) -> list[Item]:
    """Six bands and three ensembles of three sources, in all splits, and two piano pieces of tier B."""
    folder, made = tmp_path_factory.mktemp("midi"), []
    splits = ("train", "validation", "test")
    for index in range(9):
        name, kind = f"{'abc'[index % 3]}/{index}", "band" if index < 6 else "ensemble"
        made.append((name, make_score(index, with_drums=kind == "band"), splits[index // 2 % 3], "A"))
    made += [(f"p/{index}", piano(index), "train", "B") for index in range(2)]
    made.append(("p/A", piano(3), "test", "A"))
    found = []
    for name, score, split, tier in made:
        path = folder / f"{name.replace('/', '-')}.mid"
        write_midi(score, path)
        found.append(Item(name, str(path), split=split, tier=tier))
    return found


def names(items: list[Item], kind: str, choice: Choice = CHOICE) -> list[str]:
    return [each.name for each in excerpts(items, kind, choice, pytest.fail)]


def test_sets_are_told_apart_by_who_plays(items: list[Item]) -> None:
    assert set(names(items, "piano")) == {"p/0", "p/1"}
    assert set(names(items, "bands")) == set(names(items, "drums")) == {"c/2", "a/3", "b/4", "c/5"}
    assert set(names(items, "ensembles")) == {"c/8"}
    assert set(names(items, "ensembles", replace(CHOICE, split="train"))) == {"a/6", "b/7"}


def test_training_on_tier_b_leaves_something_unseen(items: list[Item]) -> None:
    """Where its split is official: without one it is not to train on, and all of it is unseen."""
    official = [replace(item, official=True) for item in items]
    assert set(names(official, "piano")) == {"p/A"}
    assert set(names([replace(official[9], split="test"), *official], "piano")) == {"p/0"}
    assert set(names(official, "piano", replace(CHOICE, split="train"))) == {"p/0", "p/1"}


def test_sets_of_tier_b_are_told_apart_by_who_plays(items: list[Item]) -> None:
    all_b = [replace(item, tier="B", official=True) for item in items]
    assert {kind: names(all_b, kind) for kind in ("ensembles", "bands", "drums")} == {
        kind: names(items, kind) for kind in ("ensembles", "bands", "drums")
    }


def test_slakh_gives_bands_and_drums(tmp_path: Path) -> None:
    unseen = list_folder(write_slakh(tmp_path))[1].items
    bands = {each.name: each.score.notes for each in excerpts(unseen, "bands", CHOICE, pytest.fail)}
    assert set(bands) == {"Track01501", "Track01876"}
    assert all(set(notes.program.tolist()) == {0, 25, 35} and notes.is_drum.any() for notes in bands.values())


def test_names_without_a_folder_are_of_one_source(items: list[Item]) -> None:
    flat = [replace(item, id=item.id.replace("/", "")) for item in items]
    assert len({tuple(names(flat, "bands", replace(CHOICE, seed=seed))) for seed in range(8)}) > 2


def test_the_seed_alone_chooses_and_sources_take_turns(items: list[Item]) -> None:
    chosen = names(items, "bands")
    assert names(items[::-1], "bands") == chosen
    assert names(items, "bands", replace(CHOICE, n=2)) == chosen[:2]
    assert [name[0] for name in chosen] == ["a", "b", "c", "c"]
    others = {tuple(names(items, "bands", replace(CHOICE, seed=seed))) for seed in range(8)}
    assert len(others) == 2


def test_what_cannot_be_read_is_told_and_what_cannot_be_used_is_passed_over(items: list[Item], tmp_path: Path) -> None:
    damaged = replace(items[10], id="p/x", midi=str(tmp_path / "none.mid"))
    told: list[str] = []

    def failed(name: str, error: InputError) -> None:
        told.append(name)

    chosen = excerpts([*items, damaged], "piano", CHOICE, failed, lambda score: score.notes.pitch[0] == 60)
    assert all(each.score.notes.pitch[0] == 60 for each in chosen)
    assert told == ["p/x"]


def test_an_excerpt_has_its_own_clock_and_a_quiet_end(score: Score) -> None:
    excerpt = cut("song", score, 2.0, 4.0)
    np.testing.assert_allclose(np.unique(excerpt.score.notes.onset_s), np.arange(0, 3.5, 0.25))
    assert excerpt.seconds == 4
    late = cut("song", score, 60.0, 4.0)
    assert late.score.notes.end_s == pytest.approx(4, abs=0.5)
    whole = cut("song", score, 2.0, None)
    assert whole.score is score
    assert whole.seconds == score.notes.end_s + 0.5


def test_drums_alone(score: Score) -> None:
    excerpt = drums_alone(cut("song", score, 0.0, 4.0))
    assert excerpt.score.notes.is_drum.all()
    assert len(excerpt.score.notes) == 7
