"""Which styles are compared, and by which words they are known."""

from __future__ import annotations

from hsmad_cli.datasets.recipes import recipes
from hsmad_cli.datasets.style_choice import different_styles, own_words


def test_more_styles_are_the_same_ones_and_others() -> None:
    few, many = ({recipe.name for recipe in different_styles(n)} for n in (5, 20))
    assert (len(few), len(many)) == (5, 20)
    assert few < many
    assert different_styles(1000) == sorted(recipes(), key=lambda recipe: recipe.name)


def test_those_that_are_played_alike_come_last() -> None:
    """A jazz trio and a bebop combo share players; ten styles that share none are there before them."""
    ten = different_styles(10)
    players = [{*recipe.lead, *recipe.harmony, *recipe.pad, *recipe.bass} for recipe in ten]
    assert all(not one & other for i, one in enumerate(players) for other in players[:i])


def test_own_words_are_shared_with_no_other() -> None:
    words = {recipe.name: {word.lower() for word in own_words(recipe)} for recipe in recipes()}
    assert all(words.values())
    assert "jazz" not in words["jazz_trio"]
    assert len(set().union(*words.values())) == sum(map(len, words.values()))
