"""Styles that can be told apart: recipes whose players differ as much as possible."""

from __future__ import annotations

from collections import Counter

from hsmad_cli.datasets.recipes import ROLES, Recipe, recipes


def different_styles(n: int) -> list[Recipe]:
    """Up to `n` recipes, in order of name; each was the one with the fewest players in common with those before it.

    A larger `n` gives the same ones and more.
    """
    left = list(recipes())
    chosen = [left.pop(0)]
    while left and len(chosen) < n:
        farthest = max(left, key=lambda recipe: min(_distance(recipe, other) for other in chosen))
        left.remove(farthest)
        chosen.append(farthest)
    return sorted(chosen[:n], key=lambda recipe: recipe.name)


def own_words(recipe: Recipe) -> tuple[str, ...]:
    """What only this recipe is called; "jazz" is what several are."""
    uses = Counter(word.lower() for each in recipes() for word in each.words)
    return tuple(word for word in recipe.words if uses[word.lower()] == 1)


def _players(recipe: Recipe) -> set[tuple[str, int]]:
    pitched = {("program", program) for role in ROLES for program in recipe.programs(role)}
    return pitched | {("kit", kit) for kit in recipe.drums}


def _distance(one: Recipe, other: Recipe) -> float:
    """One minus the share of their players that both have (Jaccard)."""
    first, second = _players(one), _players(other)
    return 1 - len(first & second) / len(first | second)
