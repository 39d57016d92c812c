"""The trials of a study's grid: one recipe, seed and prompt store each."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from kinelex.data import SkeletonStore, open_prompts
from kinelex.data.splits.files import as_file_name
from kinelex.errors import InputError
from kinelex.evaluation.study.definition import Study, axis
from kinelex.files.bounded import safe_yaml
from kinelex.options import listed
from kinelex.training.recipe import Recipe, find_recipe, resolve
from kinelex.training.store_defaults import resolve_for


@dataclass(frozen=True)
class Trial:
    """One training of a study."""

    variant: str
    seed: int
    recipe: Recipe
    prompts: Path | None
    is_recipe: bool = False

    @property
    def name(self) -> str:
        """The name of its run directory."""
        return as_file_name(f"{self.variant.replace(', ', '+').replace(' ', '=')}+seed={self.seed}")


def trials_of(
    study: Study,
    dataset: str,
    prompts: Sequence[Path] = (),
    changes: Iterable[str] = (),
    store: SkeletonStore | None = None,
    rows: np.ndarray | None = None,
) -> tuple[list[Trial], list[str]]:
    """The trainings of a study, seed by seed, so that an early look shows all variants.

    Args:
        study: the study.
        dataset: the store's data set, whose recipe is taken where there is one.
        prompts: prompt stores; several are an axis of their own.
        changes: ``key=value`` for all recipes; a key that is an axis gives it other values (``beta=0,1``).
        store: the skeleton store, which decides some defaults of a recipe.
        rows: its training part, which decides some of a general recipe.

    Shape:
        - rows: (n,)

    Returns:
        The trials, and which were left out and why.

    Raises:
        InputError: a change that does not fit, or nothing left to train.

    >>> from kinelex.evaluation.study import find_study
    >>> trials, left_out = trials_of(find_study("beta"), "utd_mhad", changes=["beta=0,1", "epochs=5"])
    >>> [trial.name for trial in trials][:3]
    ['beta=0+seed=0', 'beta=1+seed=0', 'beta=0+seed=1']
    """
    study, common = _changed(study, list(changes))
    name, content = find_recipe(study.recipe, dataset)
    settle = resolve if store is None else partial(resolve_for, store, rows=rows)
    own = settle(name, content, common)
    stores = _by_name(prompts)
    variants, left_out = [], []
    for names in product(*study.grid.values()):
        values = dict(zip(study.grid, names, strict=True))
        if any(all(values[key] == value for key, value in entry.items()) for entry in study.skip):
            continue
        keys = {k: v for label, chosen in values.items() for k, v in study.grid[label][chosen].items()}
        variant = ", ".join(f"{label} {chosen}" for label, chosen in values.items())
        recipe = settle(name, content, [f"{key}={value_text(value)}" for key, value in keys.items()] + common)
        for called, path in stores.items():
            full = f"{variant}, prompts {called}" if len(stores) > 1 else variant
            wanted = recipe.training.modalities if path is not None else ()
            missing = [m for m in wanted if path and m not in open_prompts(path).meta.widths]
            if missing:
                left_out.append(f"{full}: {path} has no {' and no '.join(missing)} prompts")
            else:
                variants.append((full, recipe, path, recipe == own))
    if not variants:
        why = "; ".join(left_out) or "skip leaves out every combination"
        raise InputError(f"study {study.name}: nothing to train: {why}")
    trials = [
        Trial(full, seed, replace(recipe, training=replace(recipe.training, seed=seed)), path, same)
        for seed in study.seeds
        for full, recipe, path, same in variants
    ]
    return trials, left_out


def _changed(study: Study, changes: list[str]) -> tuple[Study, list[str]]:
    """The study with other values of its axes, and the changes that are for all recipes."""
    grid, common = dict(study.grid), []
    for change in changes:
        key, equals, text = change.partition("=")
        label = key.removeprefix("--").replace("-", "_").rsplit(".", 1)[-1]
        if label == "seed":
            raise InputError("a study trains with several seeds: pass --seeds 0,1,2")
        if not equals or label not in grid:
            common.append(change)
            continue
        known = grid[label]
        keys = {key for value in known.values() for key in value}
        chosen = listed(text.strip("[]"))
        if set(chosen) <= set(known):  # some of the axis' own
            grid[label] = {name: known[name] for name in chosen}
        elif len(keys) == 1 and all(len(value) == 1 for value in known.values()):
            grid[label] = axis(study.name, keys.pop(), [safe_yaml(part) for part in chosen])
        else:
            raise InputError(f"{label} of the study {study.name} can be {', '.join(known)}, got {text!r}")
    skip = tuple(entry for entry in study.skip if all(v in grid[k] for k, v in entry.items()))
    return replace(study, grid=grid, skip=skip), common


def _by_name(prompts: Sequence[Path]) -> dict[str, Path | None]:
    if not prompts:
        return {"": None}
    found: dict[str, Path | None] = {Path(path).stem: Path(path) for path in prompts}
    if len(found) < len(prompts):
        raise InputError(f"expects prompt stores of different names, got {', '.join(map(str, prompts))}")
    return found


def value_text(value: Any) -> str:
    """A value as it stands after ``key=``.

    >>> value_text("cosine"), value_text([0, 1])
    ('cosine', '[0, 1]')
    """
    return value if isinstance(value, str) else json.dumps(value)
