"""Videos to skeletons: pose engines, who is who from frame to frame, smoothing, the store."""

from kinelex.pose.base import PoseEngine, Poses
from kinelex.pose.estimate import estimate
from kinelex.pose.registry import create, engine_names, engine_options, register
from kinelex.pose.smoothing import OneEuro, OneEuroFilter
from kinelex.pose.stream import PoseOptions, PoseStream
from kinelex.pose.tracking import Tracker, Tracking

__all__ = [
    "OneEuro",
    "OneEuroFilter",
    "PoseEngine",
    "PoseOptions",
    "PoseStream",
    "Poses",
    "Tracker",
    "Tracking",
    "create",
    "engine_names",
    "engine_options",
    "estimate",
    "register",
]
