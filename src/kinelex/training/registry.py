"""What a training is followed by: trackers and callbacks by name, built in and of plugins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kinelex.errors import InputError
from kinelex.options import read_options
from kinelex.registry import Registry

_BUILT_IN = {
    "tensorboard": "TensorBoard",
    "csv": "Csv",
    "wandb": "Wandb",
    "mlflow": "Mlflow",
    "comet": "Comet",
}
TRACKERS = Registry("logger", {name: f"kinelex.training.trackers:{kind}" for name, kind in _BUILT_IN.items()})
CALLBACKS = Registry("callback")
register_tracker = TRACKERS.register
register_callback = CALLBACKS.register


def callbacks_of(entries: Sequence[Any]) -> list[Any]:
    """The Lightning callbacks that a list of names, and mappings with a name and options, stands for.

    Raises:
        InputError: an unknown name or option, or an entry of another form.

    >>> callbacks_of(["stop_early"])
    Traceback (most recent call last):
    kinelex.errors.InputError: unknown callback 'stop_early'. Known: none
    """
    made = []
    for entry in entries:
        options = {"name": entry} if isinstance(entry, str) else entry
        if not isinstance(options, Mapping) or not isinstance(options.get("name"), str):
            raise InputError(
                "expects training.callbacks as a list of names, and mappings with a name and options such as "
                f"{{name: stop_early, patience: 5}}, got {entry!r}"
            )
        name = options["name"]
        kind = CALLBACKS.find(name)
        given = {key: value for key, value in options.items() if key != "name"}
        made.append(kind(**read_options(kind, given, f"the callback {name}", name)))
    return made
