"""How many person places the clips of a run have: one number, so that a clip's input depends on no other."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from rich.console import Console

from kinelex import encoders
from kinelex.data import SkeletonStore
from kinelex.encoders import Encoder
from kinelex.training.recipe import Recipe


def person_places(asked: int | None, encoder: Encoder, store: SkeletonStore) -> int:
    """The person places of a run: what was asked for, else the most persons of any clip of a store.

    Args:
        asked: ``input.persons``.
        encoder: where it has a place for each person, no more are taken by default.
        store: the skeleton store.
    """
    if asked is not None:
        return asked
    most = int(store.persons.max(initial=1))
    return most if encoder.places is None else min(most, encoder.places)


def with_person_norms(recipe: Recipe, store: SkeletonStore) -> Recipe:
    """The recipe with a number for ``encoder.person_norms``; None is as published: one for each place."""
    if recipe.encoder.get("person_norms", 1) is not None:
        return recipe
    most = recipe.input.persons or int(store.persons.max(initial=1))
    return replace(recipe, encoder={**recipe.encoder, "person_norms": most})


def with_places(recipe: Recipe, encoder: Encoder, store: SkeletonStore) -> Recipe:
    """The recipe with a number for ``input.persons``, as :func:`person_places` finds it."""
    persons = person_places(recipe.input.persons, encoder, store)
    return replace(recipe, input=replace(recipe.input, persons=persons))


def for_persons_of(store: SkeletonStore, recipe: Recipe) -> Recipe:
    """The recipe as the ``config.yaml`` of a run has it: with the numbers that follow from a store's persons.

    Args:
        store: the skeleton store.
        recipe: resolved for it.
    """
    recipe = with_person_norms(recipe, store)
    if recipe.input.persons is not None:
        return recipe
    options = dict(recipe.encoder)
    name = options.pop("name")
    encoder = encoders.create(name, layout=store.layout, in_channels=store.channels, **options)
    return with_places(recipe, encoder, store)


def say_crowded(console: Console, store: SkeletonStore, rows: np.ndarray, places: int | None) -> None:
    """Say once how many clips have more persons than a run has places for.

    Shape:
        - rows: (n,), rows of the store.
    """
    more = 0 if places is None else int((store.persons[rows] > places).sum())
    if more:
        read = "the first person is" if places == 1 else f"the first {places} persons are"
        console.print(
            f"{more} of {len(rows)} clips have more persons than the run has places for (input.persons="
            f"{places}): of these {read} read",
            markup=False,
            soft_wrap=True,
        )
