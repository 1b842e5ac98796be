"""Sentences around captions: what is said stays, what is held out stays out."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from hsmad_cli.commands.prompt_words import learnt_names
from hsmad_cli.datasets.recipes import recipes
from hsmad_cli.datasets.sentences import (
    learnt_phrases,
    said_otherwise,
    sentence,
    synonyms,
    table,
    with_slips,
)
from hsmad_cli.model.tokenizer import words_of

CAPTION = "slow jazz trio, in a church"


def many(held_out: bool = False) -> list[str]:
    return [sentence(CAPTION, np.random.default_rng(seed), held_out) for seed in range(400)]


def test_the_caption_is_in_every_sentence() -> None:
    assert all(CAPTION in text for text in many() + many(held_out=True))
    assert CAPTION in many()
    assert len(set(many())) > 200


def test_what_is_held_out_is_never_used_in_training() -> None:
    trained = set(learnt_phrases())
    held_out = {phrase for name, phrases in table().items() if name.startswith("held_out") for phrase in phrases}
    assert not trained & held_out
    pieces = [max(phrase.split("{}"), key=len) for phrase in held_out]
    assert not any(piece in text for piece in pieces for text in many())
    assert all(sum(piece in text for piece in pieces) >= 3 for text in many(held_out=True))


def test_no_phrase_holds_a_name_of_a_sound() -> None:
    """But for songs, which are what people bring."""
    things = itertools.chain(*learnt_names(lambda word: []).values())
    names = {name.lower() for name in itertools.chain(*things)} - {"song"}
    said = [f" {phrase.lower()} " for phrases in table().values() for phrase in phrases]
    assert not [(name, phrase) for name in names for phrase in said if f" {name} " in phrase]


def test_slips_change_letters_of_long_words_and_add_words() -> None:
    text = "orchestra with harp"
    slipped = [with_slips(text, np.random.default_rng(seed)).split() for seed in range(300)]
    assert text.split() in slipped
    shortest = [words for words in slipped if len(words) == 3]
    assert 0.6 < len(shortest) / len(slipped) < 0.9
    assert all(words[1:] == ["with", "harp"] for words in shortest)
    assert len({words[0] for words in shortest}) > 3
    assert max(len(words) for words in slipped) == 6


def test_a_synonym_takes_the_place_of_one_name_and_none_is_made_up() -> None:
    said = {said_otherwise("soft church organ, in a church", np.random.default_rng(seed)) for seed in range(200)}
    expected = {f"soft {other}, in a church" for other in synonyms()["church organ"]}
    expected |= {f"soft church organ, {other}" for other in synonyms()["in a church"]}
    assert said == expected


@pytest.mark.parametrize("caption", ["tango orchestra", "jazz without drums", "churches", "a cappella choir"])
def test_a_name_inside_another_is_none(caption: str) -> None:
    assert {said_otherwise(caption, np.random.default_rng(seed)) for seed in range(20)} == {caption}


def test_synonyms_are_of_names_and_give_no_held_out_phrase_away() -> None:
    names = {name for things in learnt_names(lambda word: []).values() for name in itertools.chain(*things)}
    others = {other.lower() for group in synonyms().values() for other in group}
    assert set(synonyms()) <= names
    heard = [tuple(words_of(other)) for group in synonyms().values() for other in group]
    assert len(set(heard)) == len(heard)
    assert not set(heard) & {tuple(words_of(name)) for name in names}
    held_out = [phrase.lower() for recipe in recipes() for phrase in recipe.held_out]
    assert not [(one, phrase) for one in others for phrase in held_out if f" {one} " in f" {phrase} "]
    told = words_of(" ".join([*names, *itertools.chain(*table().values())]))
    assert not set(words_of(" ".join(others))) & (set(words_of(" ".join(held_out))) - set(told))
