"""Clips: what the table says is what is heard, for any number of workers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from hsmad_cli.datasets.build import build_bank, make_plan
from hsmad_cli.datasets.factory import Engines, FactoryOptions, Plan, clip_of, draw_kit, draw_program, make_clip
from hsmad_cli.datasets.manifest import Item, read_pack
from hsmad_cli.datasets.memory import ClipBank
from hsmad_cli.datasets.recipes import KITS, recipes
from hsmad_cli.errors import InputError
from hsmad_cli.files.audio import write_audio
from hsmad_cli.files.midi import write_midi
from hsmad_cli.symbolic.notes import NoteTable, Score
from hsmad_cli.symbolic.words import names_of
from hsmad_cli.synth.schedule import playable

OPTIONS = FactoryOptions(seconds=9.6)
SPLITS = ("train", "validation", "test")


@pytest.fixture(scope="module")
def engines(soundfont: Path) -> Engines:
    return Engines(44100)


@pytest.fixture(scope="module")
def plan(pack: Path, soundfont: Path) -> Plan:
    return make_plan(pack, [soundfont], 0.01, 7, SPLITS, ("A",), OPTIONS)


def test_a_clip_is_a_function_of_seed_and_index(plan: Plan, engines: Engines) -> None:
    first, other = clip_of(plan, 2, engines), clip_of(plan, 1, engines)
    again = clip_of(plan, 2, Engines(44100))
    np.testing.assert_array_equal(first.audio, again.audio)
    assert first.captions == again.captions
    assert first.captions != other.captions or not np.array_equal(first.audio, other.audio)


def test_audio_and_notes_fit_each_other(plan: Plan, engines: Engines) -> None:
    for index in range(plan.n_clips):
        clip = clip_of(plan, index, engines)
        assert clip.audio.shape == (2, OPTIONS.n_samples)
        assert clip.audio.dtype == np.int16
        assert np.abs(clip.audio.astype(int)).max() < 32767 * 0.9
        assert np.abs(clip.audio).any()
        assert clip.captions
        notes = clip.notes
        assert 0 <= notes.onset_s.min() <= notes.onset_s.max() < OPTIONS.seconds
        assert (notes.offset_s > notes.onset_s).all()
        assert len(playable(notes)) == len(notes)
        loud = np.abs(clip.audio).max(axis=0) > 300
        silent_before = int(max(notes.onset_s.min() - 0.005, 0.0) * 44100)
        assert not loud[:silent_before].any()


def test_strikes_are_heard_where_the_table_says(tmp_path: Path, engines: Engines, soundfont: Path) -> None:
    n = 30
    onset_s = np.arange(n) * 0.83
    columns = (onset_s, onset_s + 0.1, np.full(n, 42), np.full(n, 100), np.zeros(n), np.ones(n, bool), np.zeros(n))
    write_midi(Score(NoteTable(*columns)), tmp_path / "hats.mid")
    clip = make_clip(
        Item("hats", str(tmp_path / "hats.mid")),
        np.random.default_rng(3),
        engines["fluidsynth", str(soundfont)],
        OPTIONS,
    )
    rise = np.abs(np.diff(clip.audio.astype(float).mean(axis=0)))
    for onset in clip.notes.onset_s:
        first = max(int((onset - 0.01) * 44100), 0)
        piece = rise[first : first + 1323]
        heard_s = (first + int(np.argmax(piece > 0.1 * piece.max()))) / 44100
        assert abs(heard_s - onset) < 0.003


def test_a_named_recipe_is_used_and_named(pack: Path, engines: Engines, soundfont: Path) -> None:
    quartet = next(recipe for recipe in recipes() if recipe.name == "string_quartet")
    clip = make_clip(
        read_pack(pack)[0], np.random.default_rng(0), engines["fluidsynth", str(soundfont)], OPTIONS, quartet
    )
    assert clip.recipe == "string_quartet"
    assert set(clip.notes.program.tolist()) <= {40, 41, 42}
    assert clip.captions[0] in quartet.words
    assert "recipe:string_quartet" in clip.tags


def test_the_engine_decides_how_a_clip_sounds_and_not_what_it_plays(plan: Plan, engines: Engines) -> None:
    pytest.importorskip("tinysoundfont")
    usual = clip_of(plan, 0, engines)
    other = clip_of(replace(plan, options=replace(OPTIONS, engine="tinysoundfont")), 0, engines)
    np.testing.assert_array_equal(usual.notes.onset_s, other.notes.onset_s)
    assert not np.array_equal(usual.audio, other.audio)
    assert {name for name, _ in engines} == {"fluidsynth", "tinysoundfont"}


def test_any_engine_is_drawn_for_each_clip(plan: Plan, engines: Engines) -> None:
    drawn = dict.fromkeys([("fluidsynth", plan.soundfonts[0]), ("tinysoundfont", plan.soundfonts[0])], 0)

    class Counting(dict):
        def __getitem__(self, key):
            drawn[key] += 1
            return engines["fluidsynth", key[1]]

    for index in range(12):
        clip_of(replace(plan, options=replace(OPTIONS, engine="any")), index, Counting())
    assert min(drawn.values()) > 1


def test_every_program_can_be_drawn() -> None:
    generator = np.random.default_rng(0)
    drawn = np.array([draw_program(generator) for _ in range(8000)])
    assert set(drawn) == set(range(128))
    others = 0.75 / (119 + 9 / 2)
    assert np.mean(drawn == 0) == pytest.approx(0.25 + others, abs=0.02)
    assert np.mean(drawn >= 119) == pytest.approx(9 * others / 2, abs=0.008)


def test_drums_play_alone_on_every_kit_and_are_called_so(pack: Path, engines: Engines, soundfont: Path) -> None:
    options = replace(OPTIONS, own_share=0.0, recipe_share=0.0, drums_share=1.0)
    engine, kits = engines["fluidsynth", str(soundfont)], set()
    for seed in range(12):
        clip = make_clip(read_pack(pack)[0], np.random.default_rng(seed), engine, replace(options, drop_share=0.0))
        (kit,) = np.unique(clip.notes.program).tolist()
        assert clip.recipe == "single"
        assert clip.notes.is_drum.all()
        assert any(name in " ".join(clip.captions) for name in names_of(kit, True))
        assert f"kit:{kit}" in clip.tags
        kits.add(kit)
    assert len(kits) > 3
    assert {draw_kit(np.random.default_rng(seed)) for seed in range(200)} == set(KITS)


@pytest.mark.parametrize(("every", "alone"), [(1, True), (5, True), (20, False)])
def test_drums_play_alone_where_they_have_enough_to_do(
    tmp_path: Path, engines: Engines, soundfont: Path, every: int, alone: bool
) -> None:
    time, is_drum = np.arange(120) * 0.1, np.arange(120) % every == 0
    notes = NoteTable(time, time + 0.1, np.full(120, 60), np.full(120, 90), np.zeros(120), is_drum, ~is_drum)
    write_midi(Score(notes), tmp_path / "score.mid")
    options = replace(OPTIONS, own_share=0.0, recipe_share=0.0, drop_share=0.0, stretch_share=0.0, drums_share=1.0)
    item = Item("score", str(tmp_path / "score.mid"))
    for seed in range(4):
        clip = make_clip(item, np.random.default_rng(seed), engines["fluidsynth", str(soundfont)], options)
        assert clip.notes.is_drum.all() == alone
        assert clip.notes.is_drum.any() == alone


def test_bad_items_give_way_and_many_are_an_error(plan: Plan, engines: Engines, tmp_path: Path) -> None:
    bad = Item("bad", str(tmp_path / "absent.mid"), duration_s=600.0)
    assert clip_of(replace(plan, items=(bad, *plan.items)), 0, engines).item_id != "bad"
    with pytest.raises(InputError, match="20 items in a row"):
        clip_of(replace(plan, items=(bad,)), 0, engines)


def test_an_item_with_a_recording_is_cut_from_it(pack: Path, tmp_path: Path, engines: Engines, soundfont: Path) -> None:
    sound = np.zeros((2, 44100 * 5), np.float32)
    sound[:, 22050] = 0.5
    write_audio(tmp_path / "song.wav", sound)
    item = replace(read_pack(pack)[0], audio=str(tmp_path / "song.wav"))
    clip = make_clip(item, np.random.default_rng(0), engines["fluidsynth", str(soundfont)], OPTIONS)
    assert clip.audio.shape == (2, OPTIONS.n_samples)
    assert np.argmax(clip.audio[0]) == 22050
    assert item.caption in clip.captions
    assert clip.soundfont == ""


def test_the_number_of_workers_changes_nothing(pack: Path, soundfont: Path, tmp_path: Path) -> None:
    folders = [
        build_bank(pack, [soundfont], 0.008, 1, workers, tmp_path / str(workers), SPLITS, options=OPTIONS)
        for workers in (1, 2)
    ]
    one, two = (ClipBank.load(folder) for folder in folders)
    assert folders[0].name == folders[1].name
    assert one.texts == two.texts
    for name, column in one.columns.items():
        torch.testing.assert_close(column, two.columns[name], rtol=0, atol=0, equal_nan=True)


def test_a_finished_bank_is_kept_and_torn_ones_are_not_seen(pack: Path, soundfont: Path, tmp_path: Path) -> None:
    def built() -> Path:
        return build_bank(pack, [soundfont], 0.002, 1, 1, tmp_path, SPLITS, options=OPTIONS)

    folder = built()
    stamp = (folder / "audio.npy").stat().st_mtime_ns
    assert built() == folder
    assert (folder / "audio.npy").stat().st_mtime_ns == stamp
    assert [path.name for path in tmp_path.iterdir()] == [folder.name]
    assert build_bank(folder) == folder


def test_siblings_play_one_excerpt_in_different_recipes(pack: Path, soundfont: Path, engines: Engines) -> None:
    """Six clips make two excerpts of four siblings; times and lengths of the notes are those of the excerpt."""
    options = replace(OPTIONS, siblings=4, pedal_share=0.0, own_share=0.0, recipe_share=1.0)
    plan = make_plan(pack, [soundfont], 6 * OPTIONS.seconds / 3600, 3, SPLITS, ("A",), options)
    clips = [clip_of(plan, index, engines) for index in range(plan.n_clips)]
    assert len(clips) == 8
    for family in (clips[:4], clips[4:]):
        assert len({clip.item_id for clip in family}) == 1
        assert family[1].recipe != family[3].recipe
        onsets = [set(clip.notes.onset_s[~clip.notes.is_drum].tolist()) for clip in family]
        assert onsets[0] == onsets[1] == onsets[2] == onsets[3]
    again = clip_of(plan, 5, engines)
    np.testing.assert_array_equal(again.audio, clips[5].audio)
    with pytest.raises(InputError, match="siblings is 0"):
        make_plan(pack, [soundfont], 0.01, 3, SPLITS, ("A",), replace(OPTIONS, siblings=0))
