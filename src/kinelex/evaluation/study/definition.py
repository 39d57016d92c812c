"""Studies by name: what is asked, and the grid of recipes that answers it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from kinelex.errors import InputError, one_line, unknown_name
from kinelex.evaluation.study.search import Search, search_of
from kinelex.files.bounded import bounded_text, safe_yaml

Axis = dict[str, dict[str, Any]]  # name of a value -> the keys of the recipe that it sets
_KEYS = ("title", "question", "recipe", "grid", "search", "skip", "seeds", "tasks")


@dataclass(frozen=True)
class Study:
    """A question and the grid that answers it.

    Args:
        name: what it is called.
        title, question: for its page.
        recipe: the recipe that everything is changed from.
        grid: axes by name; each value of an axis has a name and the keys of the recipe that it sets.
        skip: combinations that are left out, each a name of a value by axis.
        seeds: of the trainings.
        tasks: what the runs are judged by.
        search: instead of a grid, ranges in which settings are searched.
    """

    name: str
    title: str
    question: str
    recipe: str
    grid: dict[str, Axis]
    skip: tuple[dict[str, str], ...] = ()
    seeds: tuple[int, ...] = (0, 1, 2)
    tasks: tuple[str, ...] = ("knn", "linear")
    search: Search | None = None


def study_names() -> tuple[str, ...]:
    """Names of the studies that come with the package.

    >>> study_names()
    ('alpha', 'beta', 'encoders', 'prompts', 'temperature')
    """
    root = Path(str(resources.files("kinelex.evaluation.study")))
    return tuple(sorted(path.stem for path in root.glob("*.yaml")))


def find_study(name: str) -> Study:
    """A study by name, or from a YAML file.

    Raises:
        InputError: no such study, or a file that is none.

    >>> list(find_study("beta").grid["beta"])
    ['0.0', '0.25', '0.5', '0.75', '1.0']
    """
    if name.endswith((".yaml", ".yml")):
        path = Path(name)
    elif name in study_names():
        path = Path(str(resources.files("kinelex.evaluation.study"))) / f"{name}.yaml"
    else:
        raise unknown_name("study", name, study_names())
    try:
        content = safe_yaml(bounded_text(path))
    except FileNotFoundError as error:
        raise InputError(f"study file {path} does not exist") from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"study file {path} cannot be read: {one_line(error)}") from error
    return _study(path.stem, content)


def _study(name: str, content: Any) -> Study:
    """Check what stands in a study's file."""
    if not isinstance(content, dict) or ("search" in content) == bool(content.get("grid")):
        raise InputError(f"study {name}: expects recipe: NAME, and either grid: or search:")
    search = search_of(name, content["search"]) if "search" in content else None
    if search is None and not isinstance(content["grid"], dict):
        raise InputError(f"study {name}: expects recipe: NAME and grid: {{key: [values]}} or more")
    for key in content:
        if key not in _KEYS:
            raise unknown_name(f"key of the study {name}", str(key), _KEYS)
    if not isinstance(content.get("recipe"), str):
        raise InputError(f"study {name}: expects recipe: NAME, got {content.get('recipe')!r}")
    grid = {_short(key): axis(name, key, values) for key, values in (content.get("grid") or {}).items()}
    if len(grid) < len(content.get("grid") or {}):
        raise InputError(f"study {name}: two axes have the same name: {', '.join(content['grid'])}")
    seeds, tasks = content.get("seeds", [0] if search else [0, 1, 2]), content.get("tasks", ["knn", "linear"])
    if not _list_of(seeds, int) or min(seeds) < 0 or len(set(seeds)) < len(seeds):
        raise InputError(
            f"study {name}: expects seeds as a list of different whole numbers from 0 on, got {seeds!r}"
        )
    if not _list_of(tasks, str):
        raise InputError(f"study {name}: expects tasks as a list of names, got {tasks!r}")
    skip = content.get("skip", [])
    if (not _list_of(skip, dict) or not all(skip)) and skip != []:
        raise InputError(f"study {name}: expects skip to be a list of {{axis: value}}, got {skip!r}")
    left_out = tuple({_short(key): spelled(value) for key, value in entry.items()} for entry in skip)
    for key, value in (pair for entry in left_out for pair in entry.items()):
        if key not in grid:
            raise unknown_name(f"axis in skip of the study {name}", key, grid)
        if value not in grid[key]:
            raise unknown_name(f"value of {key} in skip of the study {name}", value, grid[key])
    title, question = str(content.get("title", name)), str(content.get("question", ""))
    axes = content["recipe"], grid, left_out
    return Study(name, title, question, *axes, tuple(seeds), tuple(tasks), search)


def axis(study: str, key: str, values: Any) -> Axis:
    """The values of an axis: a list of a key's values, or named sets of keys.

    Raises:
        InputError: neither.

    >>> axis("mine", "method.beta", [0, 0.5])
    {'0': {'method.beta': 0}, '0.5': {'method.beta': 0.5}}
    """
    if isinstance(values, list) and values:
        found = {spelled(value): {key: value} for value in values}
    elif isinstance(values, dict) and all(isinstance(keys, Mapping) for keys in values.values()):
        found = {str(name): dict(keys) for name, keys in values.items()}
    else:
        found = {}
    if not found or len(found) < len(values):
        raise InputError(
            f"study {study}: expects {key} to be a list of different values or {{name: {{key: value}}}}, "
            f"got {values!r}"
        )
    return found


def spelled(value: Any) -> str:
    """A value as it stands in names.

    >>> spelled(True), spelled(0.50), spelled(["language", "vision"])
    ('true', '0.5', 'language+vision')
    """
    if isinstance(value, bool):
        return str(value).lower()
    return "+".join(map(str, value)) if isinstance(value, list) else str(value)


def _short(key: str) -> str:
    return str(key).rsplit(".", 1)[-1]


def _list_of(values: Any, kind: type) -> bool:
    return isinstance(values, list) and bool(values) and all(type(value) is kind for value in values)
