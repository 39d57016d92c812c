"""Batched transforms, on the device of the batch: parameters are drawn first and applied then.

A :class:`Transform` is one change, :class:`Compose` several in a row. The functions under them take clips
(N, C, T, V, M).
"""

from kinelex.transforms.aimclr import AxisMask, GaussianBlur, MainAxisRotation, SwapSides
from kinelex.transforms.base import Compose, Transform, create, names, register
from kinelex.transforms.corruption import (
    JointMap,
    JointMask,
    ShearOrCorrupt,
    map_joints,
    sample_corruption,
    sample_joint_map,
    sample_shear,
)
from kinelex.transforms.fill import FillEmpty, fill_empty
from kinelex.transforms.frames import CropResize, FrameChoice, PickFrames, ReflectCrop, TimeFlip
from kinelex.transforms.lift import LiftPose
from kinelex.transforms.normalise import AlignBody, Centre, ScaleClip, align_body, centre, scale_clip
from kinelex.transforms.pipeline import InputConfig, InputPipeline, transforms_of
from kinelex.transforms.presets import PRESETS, preset
from kinelex.transforms.pyskl import (
    MainPersonFirst,
    UniformFrames,
    pyskl_normalise_3d,
    pyskl_test_frames,
)
from kinelex.transforms.shape import OtherSensor, PersonPlaces, Retarget, Stream
from kinelex.transforms.spatial import (
    JointNoise,
    RandomRotation,
    RandomScaling,
    rotate,
    sample_rotation,
    sample_scale,
    scale,
)
from kinelex.transforms.temporal import (
    apply_plan,
    centre_crop,
    random_plan,
    resize_plan,
    sample_crop,
    sorted_plan,
    uniform_plan,
)

__all__ = ["PRESETS", "AlignBody", "AxisMask", "Centre", "Compose", "CropResize", "FillEmpty", "FrameChoice"]
__all__ += [
    "GaussianBlur",
    "InputConfig",
    "InputPipeline",
    "JointMap",
    "JointMask",
    "JointNoise",
    "LiftPose",
    "MainAxisRotation",
    "MainPersonFirst",
    "OtherSensor",
]
__all__ += ["PersonPlaces", "PickFrames", "RandomRotation", "RandomScaling", "ReflectCrop", "Retarget"]
__all__ += ["ScaleClip", "ShearOrCorrupt", "Stream", "SwapSides", "TimeFlip", "Transform", "UniformFrames"]
__all__ += ["align_body"]
__all__ += ["apply_plan", "centre", "centre_crop", "create", "fill_empty", "map_joints", "names", "preset"]
__all__ += ["pyskl_normalise_3d", "pyskl_test_frames", "random_plan", "register"]
__all__ += ["resize_plan", "rotate", "sample_corruption", "sample_crop", "sample_joint_map"]
__all__ += ["sample_rotation", "sample_scale", "sample_shear", "scale", "scale_clip", "sorted_plan"]
__all__ += ["transforms_of", "uniform_plan"]
