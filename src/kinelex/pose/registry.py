"""Pose engines by name, the built-in ones and what plugins add, and the options of ``pose`` as written."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import Any

from kinelex.errors import InputError
from kinelex.options import Option, option_texts, read_options, split_options
from kinelex.pose.base import PoseEngine
from kinelex.pose.smoothing import OneEuro
from kinelex.pose.tracking import Tracking
from kinelex.registry import Registry

SECTION = "pose"
SETTINGS: dict[str, tuple[type, str]] = {"track": (Tracking, "tracking"), "smooth": (OneEuro, "--smooth")}
_GIVEN = ("persons",)  # what every engine gets from elsewhere
ENGINES = Registry(
    "pose engine",
    {
        "mediapipe": "kinelex.pose.engines.mediapipe:MediaPipe",
        "rtmlib": "kinelex.pose.engines.rtmlib:RtmLib",
    },
)
register = ENGINES.register


def engine_names() -> tuple[str, ...]:
    """Names of the pose engines.

    >>> engine_names()[:2]
    ('mediapipe', 'rtmlib')
    """
    return ENGINES.names()


def engine_class(name: str) -> type[PoseEngine]:
    """The class of a pose engine.

    Raises:
        InputError: an unknown name.
    """
    return ENGINES.find(name)


def engine_options(name: str) -> dict[str, Option]:
    """The options of a pose engine: type, default and description of each.

    >>> engine_options("rtmlib")["mode"][1]
    'balanced'
    """
    return option_texts(engine_class(name), _GIVEN)


def engine_title(name: str) -> str:
    """What a pose engine is, the first line of its description."""
    return (inspect.getdoc(engine_class(name)) or "").partition("\n")[0].rstrip(".")


def create(name: str, persons: int = 1, **options: Any) -> PoseEngine:
    """Make a pose engine, for one video or one camera.

    Args:
        name: one of :func:`engine_names`.
        persons: how many persons it looks for at most.
        options: values, or their text as on the command line.

    Raises:
        InputError: an unknown name or option, or what the engine itself objects to.
    """
    factory = engine_class(name)
    return factory(persons=persons, **read_options(factory, options, f"pose engine {name}", SECTION, _GIVEN))


def read_settings(words: Iterable[str], engine: str, smooth: bool) -> dict[str, Any]:
    """What of the options of a pose stream is written as ``section.key=value``.

    Args:
        words: such words.
        engine: name of the pose engine.
        smooth: whether smoothing is asked for.

    >>> read_settings(["track.lost=1", "pose.model=m.task"], "mediapipe", False)["engine_options"]
    {'model': 'm.task'}
    """
    given = split_options(words, (SECTION, *SETTINGS), "pose.model=FILE", "pose")
    engine_class(engine)  # an unknown one is said before its options
    if "smooth" in given and not smooth:
        raise InputError("options of smoothing need --smooth")
    made = {
        section: kind(**read_options(kind, given.get(section, {}), section, section))
        for section, (kind, _) in SETTINGS.items()
    }
    return {
        "engine_options": given.get(SECTION, {}),
        "track": made["track"],
        "smooth": made["smooth"] if smooth else None,
    }
