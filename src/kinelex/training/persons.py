"""The numbers of a recipe that follow from how many persons a store's clips have."""

from __future__ import annotations

from dataclasses import replace

from kinelex import encoders
from kinelex.data import SkeletonStore
from kinelex.data.persons import person_places
from kinelex.encoders import Encoder
from kinelex.training.recipe import Recipe


def with_person_norms(recipe: Recipe, store: SkeletonStore) -> Recipe:
    """The recipe with a number for ``encoder.person_norms``; None is as published: one for each place."""
    if recipe.encoder.get("person_norms", 1) is not None:
        return recipe
    most = recipe.input.persons or int(store.persons.max(initial=1))
    return replace(recipe, encoder={**recipe.encoder, "person_norms": most})


def with_places(recipe: Recipe, encoder: Encoder, store: SkeletonStore) -> Recipe:
    """The recipe with a number for ``input.persons``, see :func:`~kinelex.data.persons.person_places`."""
    persons = person_places(recipe.input.persons, encoder.places, store)
    return replace(recipe, input=replace(recipe.input, persons=persons))


def for_persons_of(store: SkeletonStore, recipe: Recipe) -> Recipe:
    """The recipe as the ``config.yaml`` of a run has it: with what follows from a store's persons."""
    recipe = with_person_norms(recipe, store)
    if recipe.input.persons is not None:
        return recipe
    options = dict(recipe.encoder)
    encoder = encoders.create(options.pop("name"), store.layout, in_channels=store.channels, **options)
    return with_places(recipe, encoder, store)
