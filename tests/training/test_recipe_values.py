"""Every value of every shipped recipe, pinned: a rate ten times too high trains, and nobody sees it."""

from dataclasses import asdict
from pathlib import Path

import pytest

from kinelex.training.config import OptimizerConfig, TrainingConfig
from kinelex.training.recipe import find_recipe, plain, recipe_names

TABLE = Path(__file__).with_name("recipe_values.txt")
PINNED = dict(line.split(": ", 1) for line in TABLE.read_text().splitlines() if not line.startswith("#"))


def values(content: dict) -> str:
    """``section.key=value`` of all values, in order."""
    pairs = [(f"{section}.{key}", v) for section, keys in content.items() for key, v in keys.items()]
    return " ".join(f"{key}={value}".replace(" ", "") for key, value in sorted(pairs))


def test_the_table_has_each_recipe_once() -> None:
    assert sorted(PINNED) == sorted([*recipe_names(), "defaults"])


@pytest.mark.parametrize("name", recipe_names())
def test_a_recipe_has_the_values_of_the_table(name: str) -> None:
    assert values(find_recipe(name)[1]) == PINNED[name]


def test_defaults_have_the_values_of_the_table() -> None:
    defaults = {"optimizer": plain(asdict(OptimizerConfig())), "training": plain(asdict(TrainingConfig()))}
    assert values(defaults) == PINNED["defaults"]
