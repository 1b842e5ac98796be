"""Re-orchestration touches neither times nor, octaves apart, pitches."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from hsmad_cli.datasets.recipes import (
    KEY_KINDS,
    ROLES,
    Recipe,
    assign_roles,
    drums_alone,
    exchange_keys,
    octave_shift,
    orchestrate,
    play_alone,
    recipes,
    split_voices,
    suitable,
)
from hsmad_cli.symbolic.instruments import instruments
from hsmad_cli.symbolic.notes import NoteTable, Score
from hsmad_cli.synth.engine import ROOMS


def essence(notes: NoteTable) -> Counter:
    """Time, velocity and pitch class of every note."""
    pitch = np.where(notes.is_drum, notes.pitch + 1000, notes.pitch % 12)
    rows = zip(notes.onset_s, notes.offset_s, notes.velocity, pitch, notes.is_drum, strict=True)
    return Counter(tuple(row) for row in rows)


@pytest.mark.parametrize("recipe", recipes(), ids=lambda recipe: recipe.name)
def test_a_recipe_keeps_times_and_pitch_classes(recipe: Recipe, score: Score) -> None:
    notes = score.notes
    played = orchestrate(notes, recipe, np.random.default_rng(0)).notes
    heard = notes if recipe.drums else notes.select(~notes.is_drum)
    assert essence(played) == essence(heard)
    allowed = {program for role in ROLES for program in recipe.programs(role)}
    assert set(played.program[~played.is_drum].tolist()) <= allowed
    assert set(played.program[played.is_drum].tolist()) <= set(recipe.drums)
    assert played.pitch.min() >= 21
    assert played.pitch.max() <= 108


@pytest.mark.parametrize("program", [0, 43, 56, 72, 114])
def test_every_program_can_play_alone(program: int, score: Score) -> None:
    played = play_alone(score.notes, program).notes
    assert essence(played) == essence(score.notes.select(~score.notes.is_drum))
    assert set(played.program.tolist()) == {program}


@pytest.mark.parametrize("kit", [0, 25, 48])
def test_every_kit_can_play_alone(kit: int, score: Score) -> None:
    played = drums_alone(score.notes, kit)
    assert essence(played.notes) == essence(score.notes.select(score.notes.is_drum))
    assert set(played.notes.program.tolist()) == {kit}
    assert set(played.roles.values()) == {"drums"}


def test_exchanged_keys_stay_of_their_kind_and_apart() -> None:
    keys = np.repeat(np.arange(21, 109), 2)
    is_drum = np.tile([True, False], 88)
    count, zeros = np.arange(len(keys)), np.zeros(len(keys))
    notes = NoteTable(count * 0.1, count * 0.1 + 0.05, keys, zeros + 80, zeros, is_drum, zeros)
    kind_of = {key: kind for kind in KEY_KINDS for key in kind}
    assert sum(map(len, KEY_KINDS)) == len(kind_of)
    heard: dict[int, set[int]] = {key: set() for key in keys.tolist()}
    for seed in range(200):
        exchanged = exchange_keys(notes, np.random.default_rng(seed))
        np.testing.assert_array_equal(exchanged.onset_s, notes.onset_s)
        np.testing.assert_array_equal(exchanged.pitch[~is_drum], keys[~is_drum])
        assert sorted(exchanged.pitch[is_drum]) == sorted(keys[is_drum])
        for old, new in zip(keys[is_drum].tolist(), exchanged.pitch[is_drum].tolist(), strict=True):
            heard[old].add(new)
    assert heard == {key: set(kind_of.get(key, (key,))) for key in keys.tolist()}


def test_recipes_are_sound() -> None:
    assert len(recipes()) >= 40
    for recipe in recipes():
        assert recipe.words
        for role in ROLES:
            assert recipe.programs(role), (recipe.name, role)
            assert all(0 <= program < 128 for program in recipe.programs(role))
        assert set(recipe.needs) <= {*ROLES, "drums"}
        assert set(recipe.rooms) <= set(ROOMS)


def test_every_family_but_noises_is_in_some_recipe() -> None:
    families = {program // 8 for recipe in recipes() for role in ROLES for program in recipe.programs(role)}
    assert families >= set(range(15)) - {14} | {14}


def test_roles_are_told_from_what_is_played(score: Score) -> None:
    assert assign_roles(score.notes) == {0: "harmony", 1: "bass", 2: "lead", 3: "drums"}


def test_a_piano_alone_is_split_into_voices(score: Score) -> None:
    piano = score.notes.select(score.notes.part <= 1)
    piano = piano.with_columns(part=np.zeros(len(piano)), program=np.zeros(len(piano)))
    roles = assign_roles(split_voices(piano))
    assert sorted(roles.values()) == ["bass", "harmony", "lead"]


def test_drum_styles_are_only_for_scores_with_drums(score: Score) -> None:
    names = {recipe.name for recipe in suitable(score.notes)}
    without = {recipe.name for recipe in suitable(score.notes.select(~score.notes.is_drum))}
    assert {"metal", "house"} <= names
    assert not {"metal", "house"} & without
    assert not suitable(score.notes.select(score.notes.is_drum))


def test_octave_shifts_are_the_smallest_that_help() -> None:
    assert octave_shift(np.array([60, 64]), (28, 60)) == -12
    assert octave_shift(np.array([60, 64]), (48, 84)) == 0
    assert octave_shift(np.array([30, 100]), (72, 96)) == 0


def test_there_are_128_instruments_with_names_and_ranges() -> None:
    assert len(instruments()) == 128
    for instrument in instruments():
        assert instrument.names
        assert 21 <= instrument.range[0] < instrument.range[1] <= 108
