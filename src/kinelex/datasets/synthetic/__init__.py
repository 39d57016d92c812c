"""The built-in actors: a simulated data set, so that everything runs with no data (see docs/actors.md)."""

from kinelex.datasets.synthetic.body import ANGLES, Body, forward_kinematics, mirror_pose, pose_of
from kinelex.datasets.synthetic.generate import (
    actors_meta,
    clip_key,
    generate_actors,
    known_actions,
    make_clip,
    protocol_keys,
    write_actors,
)
from kinelex.datasets.synthetic.performance import ACTIONS, FRAMES_PER_SECOND, Performance, perform
from kinelex.datasets.synthetic.performers import NUM_PERFORMERS, Performer, make_performer

__all__ = ["ACTIONS", "ANGLES", "FRAMES_PER_SECOND", "NUM_PERFORMERS", "Body", "Performance", "Performer"]
__all__ += ["actors_meta", "clip_key", "forward_kinematics", "generate_actors", "known_actions"]
__all__ += [
    "make_clip",
    "make_performer",
    "mirror_pose",
    "perform",
    "pose_of",
    "protocol_keys",
    "write_actors",
]
