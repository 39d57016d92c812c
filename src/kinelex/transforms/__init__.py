"""Batched transforms, on the device of the batch: sample parameters first, then apply them."""

from kinelex.transforms.corruption import (
    JointMap,
    map_joints,
    sample_corruption,
    sample_joint_map,
    sample_shear,
)
from kinelex.transforms.normalise import align_body, centre, fill_empty, rotate, scale_clip
from kinelex.transforms.pipeline import InputConfig, InputParams, InputPipeline
from kinelex.transforms.pyskl import pyskl_normalise_2d, pyskl_normalise_3d, pyskl_test_frames
from kinelex.transforms.spatial import random_rotation, sample_rotation, sample_scale, scale
from kinelex.transforms.temporal import (
    apply_plan,
    centre_crop,
    centre_crop_resize,
    crop_resize,
    random_plan,
    resize_plan,
    sample_crop,
    sorted_plan,
    uniform_plan,
)

__all__ = [
    "InputConfig",
    "InputParams",
    "InputPipeline",
    "JointMap",
    "align_body",
    "apply_plan",
    "centre",
    "centre_crop",
    "centre_crop_resize",
    "crop_resize",
    "fill_empty",
    "map_joints",
    "pyskl_normalise_2d",
    "pyskl_normalise_3d",
    "pyskl_test_frames",
    "random_plan",
    "random_rotation",
    "resize_plan",
    "rotate",
    "sample_corruption",
    "sample_crop",
    "sample_joint_map",
    "sample_rotation",
    "sample_scale",
    "sample_shear",
    "scale",
    "scale_clip",
    "sorted_plan",
    "uniform_plan",
]
