"""Captions: many, and never of what is not there."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hsmad_cli.datasets.captions import captions, held_out_phrases
from hsmad_cli.datasets.recipes import orchestrate, recipes
from hsmad_cli.model.tokenizer import words_of
from hsmad_cli.symbolic.caption import facts, sounding
from hsmad_cli.symbolic.instruments import instruments
from hsmad_cli.symbolic.notes import Score
from hsmad_cli.symbolic.words import genre_words, names_of, words

TRAITS = ("place", "tone", "how", "pace", "mood", "mode")


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
    traits = {phrase for table in TRAITS for phrases in words()[table].values() for phrase in phrases}
    for text in captions(facts(score, recipe.words, "hall", ("bright", "tape")), generator, 12):
        assert named_in(text) - traits <= true_names, text


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
    assert not facts(score).traits["pace"]
    busy = replace(score, tempo_bpm=np.array([180.0]), notes=score.notes.with_columns(
        onset_s=score.notes.onset_s / 2, offset_s=score.notes.offset_s / 2))  # fmt: skip
    assert facts(busy).traits["pace"] == ("fast",)
    still = replace(score, tempo_bpm=np.array([60.0]), notes=score.notes.with_columns(
        onset_s=score.notes.onset_s * 2, offset_s=score.notes.offset_s * 2))  # fmt: skip
    assert facts(still).traits["pace"] == ("slow",)


def test_one_instrument_is_a_solo(score: Score) -> None:
    alone = replace(score, notes=score.notes.select(score.notes.part == 2))
    texts = captions(facts(alone, (), "", ()), np.random.default_rng(0), 8)
    assert any("solo flute" in text for text in texts)
    assert all("flute" in text for text in texts)


def test_effects_are_spoken_of_where_they_are_heard_and_nowhere_else(score: Score) -> None:
    def texts(tones: tuple[str, ...]) -> list[str]:
        return [text for seed in range(20) for text in captions(facts(score, ("jazz",), "room", tones),
                                                                np.random.default_rng(seed), 6)]  # fmt: skip

    for effect in ("close", "distant", "lofi", "tape", "overdrive"):
        phrases = (*words()["tone"][effect], *words()["how"][effect])
        share = np.mean([any(phrase in text for phrase in phrases) for text in texts((effect,))])
        assert 0.15 < share < 0.85
        assert not any(phrase in text for phrase in words()["how"][effect] for text in texts(()))


def test_mood_needs_two_causes(score: Score) -> None:
    slow = {"tempo_bpm": np.array([60.0])}
    quiet = score.notes.with_columns(
        onset_s=score.notes.onset_s * 2, offset_s=score.notes.offset_s * 2, velocity=np.full(len(score.notes), 40)
    )
    assert "calm" in facts(replace(score, notes=quiet, **slow)).traits["mood"]
    assert "calm" not in facts(replace(score, notes=score.notes.with_columns(velocity=quiet.velocity))).traits["mood"]


def test_held_out_phrases_are_never_in_training() -> None:
    trained = {phrase.lower() for recipe in recipes() for phrase in recipe.words}
    trained |= {phrase.lower() for phrases in words()["genres"].values() for phrase in phrases}
    trained |= {name.lower() for name in all_names()}
    held_out = held_out_phrases()
    assert set(held_out) == {recipe.name for recipe in recipes()}
    for recipe in recipes():
        assert 5 <= len(recipe.words) <= 8, recipe.name
        assert 1 <= len(recipe.held_out) <= 2, recipe.name
        assert not {phrase.lower() for phrase in held_out[recipe.name]} & trained, recipe.name
    assert not set(words()["templates"]) & set(words()["held_out_templates"])


def test_most_words_of_held_out_phrases_are_known() -> None:
    known = {word for recipe in recipes() for phrase in recipe.words for word in words_of(phrase)}
    known |= {word for name in all_names() for word in words_of(name)}
    new = [word for recipe in recipes() for phrase in recipe.held_out for word in words_of(phrase)]
    assert np.mean([word in known for word in new]) > 0.5


def test_genres_have_words() -> None:
    assert genre_words("hiphop")[0] == "hip hop"
    assert genre_words("blues") == ("blues",)
    assert genre_words("") == ()
