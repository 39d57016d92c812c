"""In which settings the groups of a comparison differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kinelex.evaluation.comparison.model import Group

_SECTIONS = ("method", "encoder", "input", "optimizer", "training")
_PLAIN = ("recipe", "dataset", "protocol", "prompts")


def differing_settings(groups: Sequence[Group]) -> list[tuple[str, list[str]]]:
    """Settings that are not the same in all groups, with each group's value.

    What the runs of one group differ in (the seed) stands there only where groups differ in it, too.

    Returns:
        Name of the setting, and one text per group.
    """
    flat = [[_flat(run.config) for run in group.runs] for group in groups]
    names = dict.fromkeys(name for of in flat for config in of for name in config)
    rows = []
    for name in names:
        values = [sorted({str(config.get(name, "–")) for config in of}) for of in flat]
        if any(value != values[0] for value in values):
            rows.append((name, [", ".join(value) for value in values]))
    return rows


def _flat(config: Mapping[str, Any]) -> dict[str, Any]:
    flat = {name: config[name] for name in _PLAIN if name in config}
    if flat.get("prompts"):
        flat["prompts"] = str(flat["prompts"]).rsplit("/", 1)[-1]
    for section in _SECTIONS:
        for key, value in (config.get(section) or {}).items():
            flat[f"{section}.{key}"] = value
    return flat
