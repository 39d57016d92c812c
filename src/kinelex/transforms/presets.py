"""Published lists of transforms by name, as recipes and :func:`kinelex.transforms.preset` take them."""

from __future__ import annotations

from typing import Any

from kinelex.errors import check_name
from kinelex.transforms.base import Transform, listed

# C2VL leaves the skeleton's structure intact. AimCLR's order is our reading.
PRESETS: dict[str, tuple[Any, ...]] = {
    "c2vl": ({"name": "crop_resize", "crop": (0.5, 1.0), "minimum": 32}, "centre"),
    "cmd": (
        "fill_empty",
        {"name": "centre", "mode": "frame"},
        {"name": "align_body", "mode": "body"},
        {"name": "crop_resize", "crop": (0.1, 1.0)},
        "shear_or_corrupt",
    ),
    "ctrgcn": ("centre", "crop_resize", "random_rotation"),
    "pyskl": ("main_person_first", "centre", {"name": "align_body", "mode": "body"}, "uniform_frames"),
    "pyskl_2d": ({"name": "uniform_frames", "seen_only": False},),
    "aimclr": ("aimclr_normal", "aimclr_extreme"),
    # AimCLR's other view, that of SkeletonCLR, and what the strong one has beside it.
    "aimclr_normal": (
        "centre",
        {"name": "reflect_crop", "frames": 50},
        {"name": "shear_or_corrupt", "shear": 0.5, "corrupt": 0.0, "shear_probability": 1.0},
    ),
    "aimclr_extreme": (
        {"name": "swap_sides", "mirror": False},
        "main_axis_rotation",
        {"name": "joint_noise", "std": 0.01, "probability": 0.5},
        "gaussian_blur",
        "axis_mask",
        "time_flip",
    ),
    # SOfA's augmentations, after what its recipes do to clips; how strong they are is our reading.
    "sofa": (
        {"name": "crop_resize", "crop": (0.5, 1.0), "minimum": 32},
        {"name": "centre", "mode": "mean"},
        {"name": "align_body", "mode": "torso"},
        {"name": "scale_clip", "mode": "torso"},
        "sofa_augmentations",
    ),
    "sofa_augmentations": (
        {"name": "random_rotation", "limits": (0.3, 0.3, 1.5), "probability": 0.5},
        {"name": "random_scaling", "bounds": (0.8, 1.2), "probability": 0.5},
        "swap_sides",
        "axis_mask",
        "joint_mask",
    ),
}


def preset(name: str) -> tuple[Transform, ...]:
    """The transforms of a published list, in order.

    Args:
        name: ``c2vl``, ``cmd``, ``ctrgcn`` (CTR-GCN and MMCL on NTU), ``pyskl``, ``pyskl_2d``, ``aimclr``
            (its strong view: ``aimclr_normal``, then ``aimclr_extreme``), ``sofa`` or ``sofa_augmentations``
            (what is random in it).

    Raises:
        InputError: an unknown name.

    >>> preset("ctrgcn")[0]
    Centre(joint='spine', mode='first')
    """
    check_name("preset", name, PRESETS)
    return listed(PRESETS[name], PRESETS)
