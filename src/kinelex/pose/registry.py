"""Pose engines by name: the built-in ones, and what plugins add."""

from __future__ import annotations

import inspect
from typing import Any

from docstring_parser import parse as parse_docstring

from kinelex.options import Option, option_texts, read_options
from kinelex.pose.base import PoseEngine
from kinelex.registry import Registry

SECTION = "pose"
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
    text = parse_docstring(inspect.getdoc(engine_class(name)) or "").short_description or ""
    return text.rstrip(".").replace("\n", " ")


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
