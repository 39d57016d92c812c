"""What a recipe says, made to suit the store it is trained on.

The package's recipes are written for skeletons in 3-D that have a torso. Their settings are defaults: where
a store is in 2-D, or its layout has no torso (a hand, arms alone), those of ``input`` that cannot hold give
way. A method's general recipe, which is for any store, turns clips into the body's frame only where bodies
face different ways. Settings of a user, in a recipe file or as ``key=value``, never give way: what cannot
hold is refused then.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from kinelex import encoders
from kinelex.data import SkeletonStore
from kinelex.data.persons import person_places
from kinelex.data.several import CORE, SeveralStores, Stores, target_layout
from kinelex.encoders import Encoder
from kinelex.errors import InputError
from kinelex.skeleton import has_landmarks, landmark_weights
from kinelex.training.recipe import Recipe, find_recipe, is_recipe_file, listed_changes, resolve
from kinelex.transforms import InputConfig
from kinelex.transforms.normalise import TORSO
from kinelex.transforms.pipeline import LISTLESS

ONE_HEADING = 0.9  # UTD-MHAD has 0.99, MSR Action3D 0.96, N-UCLA 0.80, SBU 0.23


def recipe_for(recipe: str, store: Stores) -> tuple[str, dict[str, Any]]:
    """Name and content of a recipe; a bare method name takes the one for the store, of several ``any``."""
    return find_recipe(recipe, "any" if isinstance(store, SeveralStores) else store.meta.dataset)


def heading_spread(store: SkeletonStore, rows: np.ndarray) -> float:
    """How alike the ways are that bodies face: 1 where all face one way, 0 where no way is preferred.

    The length of the mean of unit vectors, one for each clip, from the right shoulder to the left one of the
    first person, over its frames; of at most 1 000 clips.

    Shape:
        - rows: (n,), rows of the store.
    """
    across = np.subtract(*(landmark_weights(store.layout, f"{side}_shoulder") for side in ("left", "right")))
    step = -(-len(rows) // 1000)
    mean = np.stack([np.einsum("tvc,v->c", store.sequence(int(row))[:, 0], across) for row in rows[::step]])
    length = np.linalg.norm(mean, axis=1, keepdims=True)
    return float(np.linalg.norm((mean / np.maximum(length, 1e-9)).mean(axis=0)))


def input_defaults(given: Mapping[str, Any], store: Stores, rows: np.ndarray | None = None) -> dict[str, Any]:
    """The settings of ``input`` that must differ from a recipe's for a store.

    Clips in 2-D are not turned into the body's frame, which needs depth, turn in the picture's plane, and are
    scaled, for pixels tell how near a camera was. Without a torso the whole body's size scales.
    """
    if given.get("transforms"):
        return {}
    asked = {**asdict(InputConfig()), **given}
    flat, torso = store.channels == 2, has_landmarks(store.layout, *TORSO)
    changes: dict[str, Any] = {}
    if asked["align"] != "none" and (flat or not torso or faces_one_way(store, rows)):
        changes["align"] = "none"
    if flat and any(asked["rotation"][:2]):
        changes["rotation"] = [0.0, 0.0, asked["rotation"][2]]
    if asked["scale"] == "torso" or (flat and asked["scale"] == "none"):
        changes["scale"] = "torso" if torso else "body"
    return {key: value for key, value in changes.items() if value != asked[key]}


def several_defaults(store: Stores, encoder: str) -> dict[str, Any]:
    """The settings of ``input`` that a training on several stores has unless a recipe says otherwise.

    Clips are brought to one layout, or keep their joints for an encoder that reads any.
    """
    if not isinstance(store, SeveralStores):
        return {}
    mixed = {one.channels for one in store.stores} == {2, 3}
    if getattr(encoders.builder(encoder), "any_layout", False):
        return {"layout": "joined", "retarget": "named", "lift": mixed}
    return {"layout": CORE, "retarget": "partial", "lift": mixed}


def faces_one_way(store: Stores, rows: np.ndarray | None) -> bool:
    """Whether the bodies of a training part face about one way; False where none is given."""
    if isinstance(store, SeveralStores) or rows is None or not len(rows):
        return False
    if store.channels == 2 or not has_landmarks(store.layout, *TORSO):
        return False
    return heading_spread(store, rows) > ONE_HEADING


def resolve_for(
    store: Stores,
    name: str,
    content: dict[str, Any],
    overrides: str | Iterable[str] = (),
    fixed: Mapping[str, Any] | None = None,
    rows: np.ndarray | None = None,
) -> Recipe:
    """Resolve a recipe with the defaults that a store asks for; ``from_store`` says which they are.

    Args:
        store: the skeleton store.
        name, content: as :func:`~kinelex.training.recipe.find_recipe` gives them.
        overrides: ``key=value``, as of :func:`~kinelex.training.recipe.resolve`.
        fixed: settings of ``input`` that hold whatever recipe and store say, for they belong to weights.
        rows: the training part, (n,); a method's general recipe looks at it.

    Raises:
        InputError: as :func:`~kinelex.training.recipe.resolve`.
    """
    overrides, fixed, section = listed_changes(overrides), fixed or {}, content.get("input", {})
    named = [text.partition("=")[2] for text in overrides if text.startswith("encoder.name=")]
    encoder = [*named, content.get("encoder", {}).get("name", "stgcn")][0]
    unsaid = {k: v for k, v in several_defaults(store, encoder).items() if k not in {**section, **fixed}}
    section = {**section, **unsaid}
    content = {**content, "input": section}
    if fixed.get("transforms"):  # a list stands instead of the short form, the recipe's included
        section, fixed = ({k: v for k, v in given.items() if k in LISTLESS} for given in (section, fixed))
    written = resolve(name, {**content, "input": {**section, **fixed}} if fixed else content, overrides)
    general = None if "/" in name else rows
    changes = {} if is_recipe_file(name) else input_defaults(section, store, general)
    if not changes:
        return replace(written, from_store=_differing(unsaid, InputConfig(), written.input))
    suited = resolve(name, {**content, "input": {**section, **changes, **fixed}}, overrides)
    differing = _differing(changes, written.input, suited.input)
    return replace(suited, from_store=_differing(unsaid, InputConfig(), suited.input) | differing)


def _differing(keys: Iterable[str], before: InputConfig, after: InputConfig) -> dict[str, Any]:
    """The settings among ``keys`` that are not what they were, by their full keys."""
    return {f"input.{k}": getattr(after, k) for k in keys if getattr(after, k) != getattr(before, k)}


def said(recipe: Recipe, store: Stores) -> str:
    """What was chosen because of the store, in one line; empty where nothing was."""
    if not recipe.from_store:
        return ""
    why = ["2-D store"] * (store.channels == 2)
    if not has_landmarks(store.layout, *TORSO):
        why.append(f"layout {store.layout.name} without a torso")
    if isinstance(store, SeveralStores):
        why.append("several stores")
    if not why:
        why.append("bodies face about one way")
    chosen = ", ".join(f"{key}={_text(value)}" for key, value in recipe.from_store.items())
    return f"{', '.join(why)}: {chosen} instead of the recipe's"


def _text(value: Any) -> str:
    return f"[{','.join(f'{v:g}' for v in value)}]" if isinstance(value, tuple) else str(value)


def with_person_norms(recipe: Recipe, store: Stores) -> Recipe:
    """The recipe with a number for ``encoder.person_norms``; None is as published: one for each place."""
    if recipe.encoder.get("person_norms", 1) is not None:
        return recipe
    most = recipe.input.persons or int(store.persons.max(initial=1))
    return replace(recipe, encoder={**recipe.encoder, "person_norms": most})


def with_places(recipe: Recipe, encoder: Encoder, store: Stores) -> Recipe:
    """The recipe with a number for ``input.persons``, see :func:`~kinelex.data.persons.person_places`.

    Raises:
        InputError: ``input.mutual`` with an encoder that has a place for each person, or counts the absent.
    """
    if recipe.input.mutual and (encoder.places is not None or not encoder.present_only):
        raise InputError(
            "input.mutual shows each person in the frame of each, to encoders that read persons one by one "
            f"and leave out who is absent, which {encoder.name} does not as it is set up: expects gru with "
            "encoder.apart=true, slots, or stgcn with encoder.present_only=true"
        )
    persons = person_places(recipe.input.persons, encoder.places, store)
    return replace(recipe, input=replace(recipe.input, persons=persons))


def for_persons_of(store: Stores, recipe: Recipe) -> Recipe:
    """The recipe as the ``config.yaml`` of a run has it: with what follows from a store's persons."""
    recipe = with_person_norms(recipe, store)
    if recipe.input.persons is not None:
        return recipe
    options = dict(recipe.encoder)
    channels = 3 if recipe.input.scores or recipe.input.lift else store.channels
    layout = target_layout(recipe.input.layout, store)
    encoder = encoders.create(options.pop("name"), layout, in_channels=channels, **options)
    return with_places(recipe, encoder, store)
