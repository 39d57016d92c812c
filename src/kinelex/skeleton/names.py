"""What other tools call joints, in the common vocabulary: one table for headers, hierarchies and layouts."""

from __future__ import annotations

import re
from collections.abc import Sequence

_PREFIX = re.compile(  # what rigs put before every name
    r"mixamorig\d*|bip\d*|valvebiped|character\d*|actor\d*|skeleton|rig|def|org|mch|jnt|joint|bone"
)
_SIDES = {"left": "left", "lft": "left", "l": "left", "right": "right", "rgt": "right", "r": "right"}
_GLUED = re.compile(r"(left|right|l|r)([a-z].*)")  # lhumerus, leftelbow
_ENDS = ("end", "nub", "site")
_FILLER = ("joint", "jnt", "bone", "keypoint", "kp", "landmark")

# Joint: what it is called elsewhere, the surest first. A name stands for the first joint that it fits.
_MIDDLE = {
    "pelvis": ("pelvis", "hips", "hip", "mid_hip", "hip_center", "hip_centre", "spine_base", "root"),
    "spine": ("spine", "spine_mid", "mid_spine", "spine_navel", "torso"),
    "shoulder_center": ("shoulder_center", "shoulder_centre", "spine_shoulder", "mid_shoulder", "thorax"),
}
_SIDED = {
    "hip": ("hip", "up_leg", "upper_leg", "thigh", "upleg", "upperleg", "femur", "hip_joint"),
    "knee": ("knee", "lower_leg", "low_leg", "lowerleg", "shin", "calf", "tibia"),
    "ankle": ("ankle",),
    "foot": ("foot", "foot_index"),
    "shoulder": ("shoulder", "upper_arm", "upperarm", "up_arm", "humerus"),
    "clavicle": ("clavicle", "collar", "collar_bone"),
    "elbow": ("elbow", "fore_arm", "forearm", "lower_arm", "lowerarm", "low_arm", "radius"),
    "wrist": ("wrist",),
    "hand": ("hand", "palm"),
    "hand_tip": ("hand_tip", "handtip"),
    "big_toe": ("big_toe", "bigtoe"),
    "small_toe": ("small_toe", "smalltoe", "little_toe"),
    "pinky": ("pinky", "little"),
    "mouth": ("mouth",),
}
# Suites that name bones: a bone's name is that of the joint at which it begins.
_BONES = {
    "hip": ("up_leg", "upper_leg", "thigh", "upleg", "upperleg", "femur", "hip", "hip_joint"),
    "knee": (*_SIDED["knee"], "leg"),
    "ankle": ("ankle", "foot"),
    "foot": ("toe_base", "toebase", "toes", "toe", "toe0", "ball", "foot"),
    "shoulder": ("upper_arm", "upperarm", "up_arm", "humerus", "arm", "shoulder"),
    "clavicle": (*_SIDED["clavicle"], "shoulder"),
    "wrist": ("wrist", "hand"),
}
_OF_BONES = {
    *("up_leg", "upper_leg", "thigh", "upleg", "upperleg", "femur", "shin", "calf", "lower_leg", "lowerleg"),
    *("fore_arm", "forearm", "lower_arm", "lowerarm", "upper_arm", "upperarm", "humerus", "toe_base"),
}

_KNOWN = {alias for table in (_SIDED, _BONES) for aliases in table.values() for alias in aliases}
_KNOWN |= {"eye", "ear", "heel", "thumb", "index", "fingers", "hipjoint"}


def common_names(names: Sequence[str]) -> list[str]:
    """Joint names in snake case, sides first, and in the common vocabulary where they have a word in it.

    Namespaces and prefixes of rigs are left out. Where a suite names bones (``LeftUpLeg``, ``Thigh_L``,
    ``lfemur``), a bone is the joint at which it begins, so that its ``LeftFoot`` is ``left_ankle``. Two
    names that would become the same joint never do: the surer one has it, the other keeps its own.

    Args:
        names: all names of a file, as what one means depends on the others.

    Returns:
        One name per name. Only names that are spelled alike give the same twice.

    >>> common_names(["Hips", "mixamorig:LeftUpLeg", "RightForeArm", "Spine1", "Head_end"])
    ['pelvis', 'left_hip', 'right_elbow', 'spine1', 'head_end']
    >>> common_names(["Hip", "LShoulder", "Elbow_L", "r_wrist", "Right Foot", "mouth_left"])
    ['pelvis', 'left_shoulder', 'left_elbow', 'right_wrist', 'right_foot', 'left_mouth']
    >>> common_names(["lhipjoint", "lfemur", "ltibia", "lfoot", "ltoes", "LHeel", "LBigToe"])
    ['left_hip_joint', 'left_hip', 'left_knee', 'left_ankle', 'left_foot', 'left_heel', 'left_big_toe']
    """
    words = [_words(name) for name in names]
    first = {name[0] for name in words if len(name) > 1}
    if len(words) > 2 and len(first) == 1 and all(len(name) > 1 for name in words) and not first & {*_SIDES}:
        words = [name[1:] for name in words]  # a person's or a scene's name before each
    split = [_sided(name) for name in words]
    bones = any(side and rest in _OF_BONES for side, rest in split)
    found: dict[tuple[str, str], str] = {}
    for side in ("", "left", "right"):
        own = {rest for s, rest in split if s == side}
        table = _MIDDLE if not side else {**_SIDED, **_BONES} if bones else _SIDED
        for joint, aliases in table.items():
            alias = next((a for a in aliases if a in own and (side, a) not in found), None)
            if alias is not None:
                found[side, alias] = joint
    taken = {(side, joint) for (side, _), joint in found.items()}
    return [_joined(pair, found, taken) or str(name) for pair, name in zip(split, names, strict=True)]


def _joined(pair: tuple[str, str], found: dict[tuple[str, str], str], taken: set[tuple[str, str]]) -> str:
    side, rest = pair
    if pair not in found and pair in taken:
        rest += "_2"  # a bone's name that is another joint's word
    return "_".join(part for part in (side, found.get(pair, rest)) if part)


def _words(name: str) -> list[str]:
    """The words of a name in small letters, without what rigs put before it."""
    bare = re.split(r"[:|]", str(name))[-1]
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", bare)
    words = [word for word in re.split(r"[^a-z0-9]+", spaced.lower()) if word]
    while len(words) > 1 and _PREFIX.fullmatch(words[0]):
        words = words[1:]
    return words


def _sided(words: list[str]) -> tuple[str, str]:
    """The side, and the rest in snake case."""
    if len(words) > 2 and words[-1] in _ENDS:  # an end site is on the side of its joint
        side, joint = _sided(words[:-1])
        return side, f"{joint}_{words[-1]}"
    for place in (0, -1):
        if len(words) > 1 and words[place] in _SIDES:
            rest = words[1:] if place == 0 else words[:-1]
            return _SIDES[words[place]], _rest(rest)
    if words:
        glued = _GLUED.fullmatch(words[0])
        if glued and glued[2] in _KNOWN and words[0] not in _KNOWN:
            return _SIDES[glued[1]], _rest([glued[2].replace("hipjoint", "hip_joint"), *words[1:]])
    return "", _rest(words)


def _rest(words: list[str]) -> str:
    kept = words if "_".join(words).endswith("hip_joint") else [w for w in words if w not in _FILLER]
    return "_".join(kept or words)
