"""What a body is: joint names, parents, mirror pairs and body parts of a skeleton layout."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib import resources
from pathlib import Path

import yaml

from kinelex.errors import InputError, one_line, unknown_name
from kinelex.files.bounded import bounded_text, packaged_names, safe_yaml
from kinelex.skeleton.names import common_names

# Words in a joint's name that put it into a limb; the clavicles move with the trunk.
_ARM = {"shoulder", "elbow", "wrist", "hand", "palm", "arm", "forearm"}
_ARM |= {"finger", "thumb", "index", "middle", "ring", "pinky", "little"}
_LEG = {"hip", "thigh", "knee", "leg", "shin", "calf", "ankle", "foot", "heel", "toe"}
PARTS = ("torso", "left_arm", "right_arm", "left_leg", "right_leg")


@dataclass(frozen=True)
class SkeletonLayout:
    """The joints of a skeleton, in the order of the coordinates, and the tree that connects them.

    Joint names follow one vocabulary (``pelvis``, ``left_shoulder``, ...) so that retargeting, mirroring
    and body parts need no table per layout.

    Args:
        name: name of the layout.
        joints: joint names in the order of the coordinates.
        parents: index of each joint's parent; the root is its own parent.

    Raises:
        InputError: a joint twice, a parent that is no joint, no root or several, or a cycle.

    >>> layout = get_layout("ntu25")
    >>> layout.num_joints, layout.joints[layout.root], layout.mirror[4]
    (25, 'shoulder_center', 8)
    """

    name: str
    joints: tuple[str, ...]
    parents: tuple[int, ...]

    def __post_init__(self) -> None:
        twice = sorted({j for j in self.joints if self.joints.count(j) > 1})
        if twice:
            raise InputError(f"layout {self.name}: joint named twice: {', '.join(twice)}")
        if len(self.parents) != len(self.joints) or not self.joints:
            raise InputError(
                f"layout {self.name}: expects one parent per joint, got {len(self.joints)} joints "
                f"and {len(self.parents)} parents"
            )
        roots = [j for j, p in enumerate(self.parents) if j == p]
        if len(roots) != 1:
            names = ", ".join(self.joints[r] for r in roots) or "none"
            raise InputError(
                f"layout {self.name}: expects exactly one root (a joint that is its own parent), got {names}"
            )
        for start in range(len(self.joints)):
            joint, steps = start, 0
            while self.parents[joint] != joint:
                joint, steps = self.parents[joint], steps + 1
                if steps > len(self.joints):
                    raise InputError(f"layout {self.name}: {self.joints[start]} is on a cycle of parents")

    @property
    def num_joints(self) -> int:
        """Number of joints V."""
        return len(self.joints)

    @cached_property
    def root(self) -> int:
        """Index of the root joint."""
        return next(j for j, p in enumerate(self.parents) if j == p)

    @cached_property
    def bones(self) -> tuple[tuple[int, int], ...]:
        """Pairs (joint, parent) of all joints but the root."""
        return tuple((j, p) for j, p in enumerate(self.parents) if j != p)

    @cached_property
    def mirror(self) -> tuple[int, ...]:
        """For each joint the index of its mirror image: ``left_`` and ``right_`` names swap."""
        return tuple(self._index(_other_side(name), j) for j, name in enumerate(self.joints))

    @cached_property
    def parts(self) -> Mapping[str, tuple[int, ...]]:
        """Joint indices of torso (with the head), arms and legs."""
        found: dict[str, list[int]] = {part: [] for part in PARTS}
        for j, name in enumerate(self.joints):
            found[_part_of(name)].append(j)
        return {part: tuple(indices) for part, indices in found.items()}

    def index(self, joint: str) -> int:
        """Index of a joint by name."""
        if joint not in self.joints:
            raise unknown_name(f"joint of {self.name}", joint, self.joints)
        return self.joints.index(joint)

    def _next_to(self, joint: int, names: Collection[str]) -> str | None:
        """The parent of a joint, else a child, that is among some names."""
        children = [j for j, parent in self.bones if parent == joint]
        near = [self.joints[j] for j in (self.parents[joint], *children)]
        return next((name for name in near if name in names), None)

    def _index(self, joint: str, default: int) -> int:
        return self.joints.index(joint) if joint in self.joints else default

    def to_yaml(self) -> str:
        """The layout as the YAML text that :func:`get_layout` reads back."""
        joints = {j: self.joints[p] for j, p in zip(self.joints, self.parents, strict=True)}
        return yaml.safe_dump({"name": self.name, "joints": joints}, sort_keys=False)

    @classmethod
    def from_yaml(cls, text: str, origin: str = "layout") -> SkeletonLayout:
        """Read a layout from YAML: ``name`` and ``joints``, a mapping of joint to parent.

        Args:
            origin: what to call it in messages, for example the file's path.

        >>> hand = SkeletonLayout.from_yaml("name: hand\\njoints: {wrist: wrist, thumb: wrist, index: wrist}")
        >>> hand.parents
        (0, 0, 0)
        """
        try:
            content = safe_yaml(text)
        except yaml.YAMLError as error:
            raise InputError(f"{origin}: not valid YAML: {one_line(error)}") from error
        joints = content.get("joints") if isinstance(content, dict) else None
        if not isinstance(joints, dict) or not joints or set(content) - {"name", "joints"}:
            raise InputError(
                f"{origin}: expects the keys 'name' and 'joints', a mapping of each joint to its parent "
                "(the root to itself), in the order of the coordinates"
            )
        names = [str(j) for j in joints]
        for joint, parent in joints.items():
            if str(parent) not in names:
                raise InputError(f"{origin}: the parent of {joint} is {parent!r}, which is no joint")
        parents = tuple(names.index(str(p)) for p in joints.values())
        return cls(str(content.get("name", "custom")), tuple(names), parents)


def _other_side(name: str) -> str:
    side, _, rest = name.partition("_")
    return {"left": f"right_{rest}", "right": f"left_{rest}"}.get(side, name) if rest else name


def _part_of(name: str) -> str:
    side, _, rest = name.partition("_")
    words = {word.rstrip("0123456789").removesuffix("s") for word in rest.split("_")}
    if side not in ("left", "right"):
        return "torso"
    limb = "leg" if words & _LEG else "arm" if words & _ARM else ""  # a little toe is no finger
    return f"{side}_{limb}" if limb else "torso"


def layout_names() -> tuple[str, ...]:
    """Names of the built-in layouts.

    >>> "ntu25" in layout_names()
    True
    """
    return packaged_names(resources.files("kinelex.skeleton").joinpath("layouts"))


def get_layout(name: str | Path) -> SkeletonLayout:
    """A layout by its built-in name, or from a YAML file.

    Joint names of a file that other tools give (``Thigh_L``) become those of the common vocabulary
    (``left_hip``), so that mirroring, body parts and retargeting know them.

    Args:
        name: a name of :func:`layout_names`, or the path of a ``.yaml`` file.

    Raises:
        InputError: neither a known name nor a readable file.
    """
    if not str(name).endswith((".yaml", ".yml")):
        return _built_in(str(name))
    path = Path(name)
    if not path.is_file():
        raise InputError(f"layout file {path} does not exist")
    try:
        text = bounded_text(path)
    except (OSError, UnicodeDecodeError) as error:
        said = one_line(error)
        raise InputError(f"layout file {path} cannot be read as text in UTF-8: {said}") from error
    layout = SkeletonLayout.from_yaml(text, origin=str(path))
    names = common_names(layout.joints)
    sided = any(name.startswith(("left_", "right_")) for name in names)
    return SkeletonLayout(layout.name, tuple(names), layout.parents) if sided else layout


@lru_cache(maxsize=64)
def _built_in(name: str) -> SkeletonLayout:
    if name not in layout_names():
        raise unknown_name("layout", name, layout_names())
    file = resources.files("kinelex.skeleton").joinpath("layouts", f"{name}.yaml")
    return SkeletonLayout.from_yaml(file.read_text(encoding="utf-8"), origin=name)


def joined_layout(layouts: Iterable[SkeletonLayout]) -> SkeletonLayout:
    """All joints of several layouts by name, each once, in the tree that they make together.

    The first layout keeps its order and tree; what another has more hangs from the joint that it is next to
    there.

    >>> joined = joined_layout([get_layout("kinect20"), get_layout("ntu25")])
    >>> joined.joints[20:], joined.joints[joined.parents[joined.index("neck")]]
    (('neck', 'left_thumb', 'left_hand_tip', 'right_thumb', 'right_hand_tip'), 'shoulder_center')
    """
    first, *others = layouts
    joints, parents = list(first.joints), list(first.parents)
    for layout in others:
        waiting = [j for j, name in enumerate(layout.joints) if name not in joints]
        while waiting:
            places = {j: layout._next_to(j, joints) for j in waiting}
            new = next((j for j, place in places.items() if place is not None), waiting[0])
            parents.append(first.root if places[new] is None else joints.index(str(places[new])))
            joints.append(layout.joints[new])
            waiting.remove(new)
    return SkeletonLayout("joined", tuple(joints), tuple(parents))
