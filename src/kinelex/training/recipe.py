"""Recipes: YAML over the components' own arguments, checked against their signatures."""

from __future__ import annotations

import contextlib
import copy
import math
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, get_origin

import yaml
from jsonargparse import ArgumentError, ArgumentParser

from kinelex import encoders
from kinelex.errors import InputError, check_name, unknown_name
from kinelex.files.bounded import bounded_text, safe_yaml
from kinelex.methods import list_methods, method_class
from kinelex.training.config import OptimizerConfig, TrainingConfig
from kinelex.training.registry import TRACKERS, callbacks_of
from kinelex.transforms import InputConfig, transforms_of
from kinelex.transforms.pipeline import LISTLESS

# what a method is given by the data, and not by a recipe
FROM_DATA: set[str | int] = {"encoder", "prompts", "num_classes", "class_counts", "stream"}
SECTIONS = ("method", "encoder", "input", "optimizer", "training")


@dataclass(frozen=True)
class Recipe:
    """A resolved recipe: every value that the training uses.

    Attributes:
        name: what it was called, for example ``c2vl/nw_ucla``.
        method, encoder: the component's name under ``name``, and its options.
        input, optimizer, training: see the config classes.
        from_store: settings that the store decided and not the recipe, by their full keys.
    """

    name: str
    method: dict[str, Any]
    encoder: dict[str, Any]
    input: InputConfig
    optimizer: OptimizerConfig
    training: TrainingConfig
    from_store: dict[str, Any] = field(default_factory=dict, compare=False)

    @property
    def parts(self) -> list[Any]:
        """The classes and functions that it names: what a run of it must have."""
        method = method_class(self.method["name"])
        named = [method, encoders.builder(self.encoder["name"])]
        named += [kind for kind in map(TRACKERS.get, self.training.logger) if not isinstance(kind, str)]
        more = [*transforms_of(self.input), *method.also_uses(self.method)]
        more += callbacks_of(self.training.callbacks)
        return [*named, *map(type, more)]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as written into ``config.yaml``; without ``from_store``, which is no section."""
        return {key: plain(value) for key, value in asdict(self).items() if key != "from_store"}


def plain(value: Any) -> Any:
    """A value as YAML writes it: tuples become lists."""
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    return [plain(v) for v in value] if isinstance(value, (list, tuple)) else value


def recipe_names() -> tuple[str, ...]:
    """Names of the recipes that come with the package.

    >>> "c2vl" in recipe_names()
    True
    """
    root = Path(str(resources.files("kinelex").joinpath("recipes")))
    return tuple(sorted(str(p.relative_to(root).with_suffix("")) for p in root.rglob("*.yaml")))


def is_recipe_file(name: str) -> bool:
    """Whether a recipe's name is the path of a file of the user's own.

    >>> is_recipe_file("mine.yaml"), is_recipe_file("c2vl/nw_ucla")
    (True, False)
    """
    return name.endswith((".yaml", ".yml"))


def find_recipe(name: str, dataset: str | None = None) -> tuple[str, dict[str, Any]]:
    """Read a recipe by name or from a file.

    A bare method name (``c2vl``) takes the method's recipe for the data set where there is one
    (``c2vl/nw_ucla``), else the method's general recipe.

    Args:
        name: a name of :func:`recipe_names`, or the path of a ``.yaml`` file.
        dataset: the store's data set.

    Raises:
        InputError: no such recipe, or a file that is no recipe.
    """
    if is_recipe_file(name):
        path = Path(name)
        if not path.is_file():
            raise InputError(f"recipe file {path} does not exist")
        try:
            text = bounded_text(path)
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"recipe file {path} cannot be read as text: {error}") from error
    else:
        known = recipe_names()
        if f"{name}/{dataset}" in known:
            name = f"{name}/{dataset}"
        check_name("recipe", name, known)
        text = resources.files("kinelex").joinpath("recipes", f"{name}.yaml").read_text(encoding="utf-8")
    try:
        content = safe_yaml(text)
    except yaml.YAMLError as error:
        raise InputError(f"recipe {name}: not valid YAML: {error}") from error
    if not isinstance(content, dict):
        raise InputError(f"recipe {name}: expects the sections {', '.join(SECTIONS)}")
    _check_sections(name, content)
    return name, content


def _check_sections(name: str, content: dict[str, Any]) -> None:
    for section, options in content.items():
        if section not in SECTIONS:
            raise unknown_name(f"section of the recipe {name}", str(section), SECTIONS)
        if not isinstance(options, dict):
            raise InputError(f"recipe {name}: expects {section} to be a mapping, got {options!r}")
        if section in ("method", "encoder") and not isinstance(options.get("name", ""), str):
            raise InputError(f"recipe {name}: expects {section}.name to be a text, got {options['name']!r}")


def resolve(name: str, content: dict[str, Any], overrides: str | Iterable[str] = ()) -> Recipe:
    """Check a recipe against the components and fill in every default.

    Args:
        name: what to call it.
        content: sections as read from YAML.
        overrides: ``key=value``, one or several, with a full key (``method.alpha=0.5``) or one that is unique
            (``alpha=0.5``).
            Another ``encoder.name`` or ``method.name`` than the recipe's starts from that one's defaults.

    Raises:
        InputError: an unknown section, key or component, or a value of the wrong type.

    >>> resolve("mine", {"method": {"name": "c2vl"}}, ["alpha=0.5"]).method["alpha"]
    0.5
    """
    _check_sections(name, content)
    content = {section: copy.deepcopy(content.get(section, {})) for section in SECTIONS}
    content["method"].setdefault("name", "c2vl")
    content["encoder"].setdefault("name", "stgcn")
    overrides = listed_changes(overrides)
    for text in overrides:  # names of components first: they decide which keys there are
        section, _, component = text.partition(".name=")
        if section in ("method", "encoder") and component and component != content[section]["name"]:
            content[section] = {"name": component}  # the recipe's options are those of the other component
        if text.split("=")[0] in ("transforms", "input.transforms"):  # instead of the short form
            content["input"] = {k: v for k, v in content["input"].items() if k in LISTLESS}
    parser = _parser(content["method"]["name"], content["encoder"]["name"])
    keys = [a.dest for a in parser._actions if "." in a.dest]
    lists = {a.dest for a in parser._actions if get_origin(getattr(a, "_typehint", None)) is tuple}
    for text in overrides:
        key, equals, value = text.partition("=")
        if not equals:
            raise InputError(f"expects key=value, got {text!r}")
        full = _full_key(key, keys)
        _set(content, full, value, full in lists)
    for section in SECTIONS:
        for key in content[section]:
            if f"{section}.{key}" not in keys:
                known = [k.removeprefix(f"{section}.") for k in keys if k.startswith(f"{section}.")]
                raise unknown_name(f"key of {section} in the recipe {name}", str(key), known)
    try:
        parsed = parser.parse_object(content).as_dict()
    except ArgumentError as error:
        raise InputError(f"recipe {name}: {_worded(str(error))}") from error
    defaults = parser.get_defaults().as_dict()
    for key in keys:
        section, _, option = key.partition(".")
        if parsed[section][option] is None and defaults[section][option] is not None:
            raise InputError(f"recipe {name}: {key} expects a value, got none")
        if not _finite(parsed[section][option]):
            raise InputError(f"recipe {name}: {key} expects finite numbers, got {parsed[section][option]}")
    list(method_class(parsed["method"]["name"]).also_uses(parsed["method"]))  # all that they name is there
    configs = InputConfig(**parsed["input"]), OptimizerConfig(**parsed["optimizer"])
    return Recipe(name, parsed["method"], parsed["encoder"], *configs, TrainingConfig(**parsed["training"]))


def listed_changes(overrides: str | Iterable[str]) -> list[str]:
    """Changes to a recipe as a list, also where one stands alone.

    >>> listed_changes("epochs=3")
    ['epochs=3']
    """
    return [overrides] if isinstance(overrides, str) else list(overrides)


def is_key(name: str) -> bool:
    """Whether a recipe of some method and some encoder has a key, by its full name or without the section.

    >>> is_key("epochs"), is_key("method.alpha"), is_key("no-baselines")
    (True, True, False)
    """
    name = name.replace("-", "_")
    keys = _all_keys(tuple(encoders.names()))
    return name in keys or name in {key.split(".", 1)[1] for key in keys}


@cache
def _all_keys(names: tuple[str, ...]) -> frozenset[str]:
    """The keys of all recipes, of any method and any encoder."""
    pairs = [*((method, "stgcn") for method in list_methods()), *(("c2vl", other) for other in names)]
    return frozenset({a.dest for pair in pairs for a in _parser(*pair)._actions if "." in a.dest})


def _finite(value: Any) -> bool:
    values = value if isinstance(value, (list, tuple)) else (value,)
    return all(math.isfinite(v) for v in values if isinstance(v, float))


def _worded(complaint: str) -> str:
    """jsonargparse's complaint about a value as one line: which key, what was expected, what came.

    >>> _worded('''Parser key "input.crop": Expected a <class 'tuple'>. Got value: 3''')
    'input.crop: expected a list. Got value: 3'
    """
    text = " ".join(complaint.split())
    text = re.sub(r'Parser key "([\w.]+)":', r"\1:", text).replace(": Expected", ": expected")
    text = re.sub(r"\ba <class '([\w.]+)'>", r"\1", text)
    return re.sub(r"\b(a )?tuple\b", "a list", text)


def _parser(method: str, encoder: str) -> ArgumentParser:
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--method.name", type=str)
    parser.add_class_arguments(method_class(method), "method", skip=FROM_DATA)
    parser.add_argument("--encoder.name", type=str)
    build = encoders.builder(encoder)
    skip: set[str | int] = {"layout", "in_channels"}
    add = parser.add_class_arguments if isinstance(build, type) else parser.add_function_arguments
    add(build, "encoder", skip=skip)
    configs = {"input": InputConfig, "optimizer": OptimizerConfig, "training": TrainingConfig}
    for section, config in configs.items():
        parser.add_class_arguments(config, section)
    return parser


def _full_key(key: str, keys: list[str]) -> str:
    key = key.removeprefix("--").replace("-", "_")
    if key in keys:
        return key
    matches = [k for k in keys if k.split(".", 1)[1] == key]
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise InputError(f"the key {key!r} is ambiguous: write {' or '.join(sorted(matches))}")
    short = [k.split(".", 1)[1] for k in keys]
    raise unknown_name("recipe key", key, keys if "." in key else sorted(set(short) - {"name"}))


def _set(content: dict[str, Any], key: str, value: str, is_list: bool) -> None:
    """Put a typed value in its place; a list may be written ``a,b`` as well as ``[a, b]``."""
    section, _, name = key.partition(".")
    try:
        content[section][name] = safe_yaml(f"[{value}]" if is_list and value[:1] != "[" else value)
    except yaml.YAMLError as error:
        raise InputError(f"{key}: {value!r} is not a valid value") from error
    if isinstance(content[section][name], str):  # YAML 1.1 reads 1e-3 as text
        with contextlib.suppress(ValueError):
            content[section][name] = float(value)
