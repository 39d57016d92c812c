"""Which labels a run learned."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kinelex import plugins
from kinelex.methods import list_methods, method_class


def reads_labels(config: Mapping[str, Any]) -> bool:
    """Whether a run's method learns from labels.

    Raises:
        InputError: the method is that of a plugin which is not there.

    >>> reads_labels({"method": {"name": "supervised"}}), reads_labels({"method": {"name": "cmd"}})
    (True, False)
    """
    name = config["method"]["name"]
    if name in list_methods():
        return method_class(name).needs_labels
    plugins.require(config.get("plugins") or (), f"a run of the method {name}")
    return False


def learned_parts(config: Mapping[str, Any]) -> list[dict[str, str]]:
    """The parts whose labels a run learned: its own training part, and those of the runs it was adapted from.

    Returns:
        ``store_fingerprint`` and ``protocol`` of each; nothing of a converted run, which does not say it.

    >>> base = {"method": {"name": "supervised"}, "store_fingerprint": "a1", "protocol": "xsub"}
    >>> adapted = {"mode": "batch_norm", "from": base}
    >>> learned_parts({**base, "store_fingerprint": "b2", "adapted": adapted})
    [{'store_fingerprint': 'a1', 'protocol': 'xsub'}]
    """
    adapted = config.get("adapted") or {}
    parts = learned_parts(adapted["from"]) if adapted else []
    if not reads_labels(config) or adapted.get("mode") == "batch_norm":
        return parts
    return trained_parts(config) + parts


def trained_parts(config: Mapping[str, Any]) -> list[dict[str, str]]:
    """``store_fingerprint`` and ``protocol`` of each store that a run itself was trained on."""
    keys = ("store_fingerprint", "protocol")
    stores = config.get("stores") or [config]
    return [{key: part[key] for key in keys} for part in stores if all(part.get(key) for key in keys)]


def learned_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """The ``config.yaml`` that says which clips a run's classes are from.

    It is the run's own, but for a run whose batch norm alone was estimated anew on other clips.

    >>> base = {"method": {"name": "supervised"}, "protocol": "xsub"}
    >>> learned_config({"protocol": "all", "adapted": {"mode": "batch_norm", "from": base}})["protocol"]
    'xsub'
    """
    adapted = config.get("adapted") or {}
    if adapted.get("mode") == "batch_norm":
        return learned_config(adapted["from"])
    return dict(config)
