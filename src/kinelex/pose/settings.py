"""Private machinery of the verb ``pose``: options as written on the command line, ``section.key=value``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from kinelex.errors import InputError
from kinelex.options import read_options, split_options
from kinelex.pose.registry import SECTION, engine_class
from kinelex.pose.smoothing import OneEuro
from kinelex.pose.tracking import Tracking

SETTINGS: dict[str, tuple[type, str]] = {"track": (Tracking, "tracking"), "smooth": (OneEuro, "--smooth")}


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
