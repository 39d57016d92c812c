"""Marker files: names in the common vocabulary, and a tree over them, which the files do not have."""

from __future__ import annotations

from collections.abc import Sequence

from kinelex.skeleton import SkeletonLayout, common_names

# On whom a joint hangs: the first of these that is there. `{s}` is the side.
_PARENTS: dict[str, tuple[str, ...]] = {
    "lower_spine": ("pelvis",),
    "spine": ("lower_spine", "pelvis"),
    "chest": ("spine", "pelvis"),
    "shoulder_center": ("chest", "spine", "pelvis"),
    "neck": ("shoulder_center", "chest", "spine", "pelvis"),
    "head": ("neck", "shoulder_center", "pelvis"),
    "nose": ("head", "neck"),
    "{s}_eye": ("nose", "head"),
    "{s}_ear": ("{s}_eye", "nose", "head"),
    "{s}_clavicle": ("shoulder_center", "neck", "chest"),
    "{s}_shoulder": ("{s}_clavicle", "shoulder_center", "neck", "chest", "spine", "pelvis"),
    "{s}_elbow": ("{s}_shoulder",),
    "{s}_wrist": ("{s}_elbow", "{s}_shoulder"),
    "{s}_hand": ("{s}_wrist", "{s}_elbow"),
    "{s}_hip": ("pelvis", "spine", "neck"),
    "{s}_knee": ("{s}_hip",),
    "{s}_ankle": ("{s}_knee", "{s}_hip"),
    "{s}_foot": ("{s}_ankle", "{s}_knee"),
    "{s}_heel": ("{s}_ankle", "{s}_knee"),
    "{s}_big_toe": ("{s}_foot", "{s}_ankle"),
    "{s}_small_toe": ("{s}_foot", "{s}_big_toe", "{s}_ankle"),
}
_ROOTS = ("pelvis", "lower_spine", "spine", "chest", "shoulder_center", "neck", "head")


def marker_layout(name: str, markers: Sequence[str]) -> SkeletonLayout:
    """A layout of markers: those with a name of the vocabulary form a body, the others hang on its root.

    >>> layout = marker_layout("walk", ["Hip", "RHip", "RKnee", "LHip", "LKnee", "Neck", "Cup"])
    >>> [layout.joints[p] for p in layout.parents]
    ['pelvis', 'pelvis', 'right_hip', 'pelvis', 'left_hip', 'pelvis', 'pelvis']
    """
    joints = common_names(markers)
    if len(set(joints)) < len(joints):
        joints = list(markers)
    root = next((joint for joint in _ROOTS if joint in joints), joints[0])
    parents = []
    for joint in joints:
        side, _, rest = joint.partition("_")
        sided = side in ("left", "right")
        wanted = _PARENTS.get("{s}_" + rest if sided else joint, ())
        there = [parent for parent in (one.format(s=side) for one in wanted) if parent in joints]
        parents.append(root if joint == root or not there else there[0])
    return SkeletonLayout(name, tuple(joints), tuple(joints.index(parent) for parent in parents))
