"""Captions: many, and never of what is not there."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hsmad_cli.datasets.captions import captions, facts, genre_words, names_of, sounding, words
from hsmad_cli.datasets.instruments import instruments
from hsmad_cli.datasets.recipes import orchestrate, recipes
from hsmad_cli.symbolic.notes import Score


def all_names() -> set[str]:
    kits = {name for names in words()["kits"].values() for name in names}
    return kits | {name for instrument in instruments() for name in instrument.names}


def named_in(text: str) -> set[str]:
    """The instrument names in a caption, the longest first, none inside another."""
    found = set()
    for name in sorted(all_names(), key=len, reverse=True):
        if name in text:
            found.add(name)
            text = text.replace(name, "")
    return found


@pytest.mark.parametrize("seed", range(12))
def test_only_instruments_that_sound_are_named(score: Score, seed: int) -> None:
    generator = np.random.default_rng(seed)
    recipe = recipes()[int(generator.integers(len(recipes())))]
    score = replace(score, notes=orchestrate(score.notes, recipe, generator).notes)
    true_names = {name for voice in sounding(score.notes) for name in names_of(*voice)}
    true_names |= {name for word in recipe.words for name in named_in(word)}
    place_and_tone = {
        name for table in ("place", "tone", "pace") for values in words()[table].values() for name in values
    }
    for text in captions(facts(score, recipe.words, "hall", ("bright",)), generator, 12):
        assert named_in(text) - place_and_tone <= true_names, text


def test_captions_differ_and_are_reproducible(score: Score) -> None:
    known = facts(score, ("jazz",), "room", ("dark",))
    texts = captions(known, np.random.default_rng(5), 6)
    assert len(texts) == len(set(texts)) == 6
    assert texts == captions(known, np.random.default_rng(5), 6)
    assert texts[0] == "jazz"


def test_templates_speak_of_style_only_where_one_is_known(score: Score) -> None:
    known = facts(score, (), "room", ())
    assert all("{" not in text and "style" not in text for text in captions(known, np.random.default_rng(0), 8))


def test_pace_needs_tempo_and_density(score: Score) -> None:
    assert facts(score, (), "", ()).paces == ()
    busy = replace(score, tempo_bpm=np.array([180.0]), notes=score.notes.with_columns(
        onset_s=score.notes.onset_s / 2, offset_s=score.notes.offset_s / 2))  # fmt: skip
    assert facts(busy, (), "", ()).paces == ("fast",)
    still = replace(score, tempo_bpm=np.array([60.0]), notes=score.notes.with_columns(
        onset_s=score.notes.onset_s * 2, offset_s=score.notes.offset_s * 2))  # fmt: skip
    assert facts(still, (), "", ()).paces == ("slow",)


def test_one_instrument_is_a_solo(score: Score) -> None:
    alone = replace(score, notes=score.notes.select(score.notes.part == 2))
    texts = captions(facts(alone, (), "", ()), np.random.default_rng(0), 8)
    assert any("solo flute" in text for text in texts)
    assert all("flute" in text for text in texts)


def test_genres_have_words() -> None:
    assert genre_words("hiphop")[0] == "hip hop"
    assert genre_words("blues") == ("blues",)
    assert genre_words("") == ()
