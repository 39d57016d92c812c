"""A search for settings: ranges instead of a grid, a budget of trials, chosen on folds of a training part."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kinelex.errors import InputError, unknown_name
from kinelex.training.recipe import Recipe

_KEYS = ("ranges", "trials", "folds", "pruning")
_PRUNING = ("median", "none")


@dataclass(frozen=True)
class Range:
    """What a key of the recipe may be: one of ``choices``, or a number from ``low`` to ``high``.

    Args:
        choices: values; empty where it is a number.
        low, high: ends, whole numbers for a whole number.
        log: drawn by the logarithm.
        step: between the numbers; None is any number, or 1 for a whole one.
    """

    choices: tuple[Any, ...] = ()
    low: float = 0
    high: float = 0
    log: bool = False
    step: float | None = None

    def draw(self, trial: Any, key: str) -> Any:
        """A value for an Optuna trial."""
        if self.choices:
            return trial.suggest_categorical(key, self.choices)
        if all(isinstance(number, int) for number in (self.low, self.high, self.step or 1)):
            return trial.suggest_int(key, self.low, self.high, step=int(self.step or 1), log=self.log)
        return trial.suggest_float(key, self.low, self.high, step=self.step, log=self.log)

    def holds(self, value: Any) -> bool:
        """Whether a value is one of these.

        >>> Range(low=0.01, high=0.1).holds(0.05), Range(choices=(16, 32)).holds(24)
        (True, False)
        """
        if self.choices:
            return value in self.choices
        is_number = isinstance(value, int | float) and self.low <= value <= self.high
        between = (value - self.low) / self.step if is_number and self.step else 0.0
        return is_number and abs(between - round(between)) < 1e-9


@dataclass(frozen=True)
class Search:
    """The section ``search`` of a study.

    Args:
        ranges: by key of the recipe.
        trials: how many settings are tried, the recipe's own among them.
        folds: of the training part; each trial trains once for each, and is judged on what it left out.
        pruning: ``median`` ends a trial after a fold where it is worse than half of the others were, ``none``
            lets all of them end.
    """

    ranges: dict[str, Range]
    trials: int = 20
    folds: int = 3
    pruning: str = "median"

    def own(self, recipe: Recipe) -> dict[str, Any]:
        """The recipe's own values of the keys, which are tried first.

        Raises:
            InputError: a value that its range does not hold.
        """
        sections = recipe.to_dict()
        values = {}
        for key, values_of in self.ranges.items():
            section, _, option = key.partition(".")
            if option not in sections.get(section, {}):
                raise InputError(f"expects full keys in search, such as optimizer.lr, got {key!r}")
            values[key] = sections[section][option]
            if not values_of.holds(values[key]):
                raise InputError(
                    f"the recipe's own {key}={values[key]} is tried first and must be in its range: widen "
                    f"the range, or give the recipe another value ({key}=VALUE)"
                )
        return values


def search_of(study: str, content: Any) -> Search:
    """Read the section ``search`` of a study's file.

    Raises:
        InputError: an unknown key, or a range or budget that is none.

    >>> search = search_of("mine", {"trials": 5, "ranges": {"optimizer.lr": {"low": "1e-4", "high": 0.1}}})
    >>> search.ranges["optimizer.lr"].low
    0.0001
    """
    if not isinstance(content, dict) or not isinstance(content.get("ranges"), dict) or not content["ranges"]:
        raise InputError(f"study {study}: expects search: {{ranges: {{key: range}}, trials: NUMBER}}")
    for key in content:
        if key not in _KEYS:
            raise unknown_name(f"key of search in the study {study}", str(key), _KEYS)
    ranges = {str(key): _range(study, str(key), value) for key, value in content["ranges"].items()}
    search = Search(ranges, **{key: value for key, value in content.items() if key != "ranges"})
    for key, least in (("trials", 1), ("folds", 2)):
        value = getattr(search, key)
        if type(value) is not int or value < least:
            raise InputError(f"study {study}: expects {key} as a whole number from {least} on, got {value!r}")
    if search.pruning not in _PRUNING:
        raise unknown_name(f"pruning of the study {study}", str(search.pruning), _PRUNING)
    return search


def _range(study: str, key: str, value: Any) -> Range:
    plain: tuple[type, ...] = (str, bool, int, float)
    if isinstance(value, list) and len(value) > 1 and all(isinstance(v, plain) for v in value):
        return Range(tuple(value))
    if isinstance(value, Mapping) and {"low", "high"} <= set(value) <= {"low", "high", "log", "step"}:
        try:
            ends: dict[str, Any] = {
                k: _number(value[k]) for k in ("low", "high", "step") if value.get(k) is not None
            }
        except (TypeError, ValueError):
            ends = {"low": 1, "high": 0}
        log = value.get("log", False)
        good = -math.inf < ends["low"] < ends["high"] < math.inf
        good = good and (not log or (ends["low"] > 0 and "step" not in ends))
        if good and isinstance(log, bool) and ends.get("step", 1) > 0:
            return Range(log=log, **ends)
    raise InputError(
        f"study {study}: expects {key} to be a list of values, or {{low: NUMBER, high: NUMBER}} with step, "
        f"or with log: true above 0, got {value!r}"
    )


def _number(value: Any) -> int | float:
    """A number; YAML reads 1e-4 as text."""
    return value if type(value) is int else float(value)
