"""A clip in a table of text: a row per frame, columns found by their names or in the layout's order."""

from __future__ import annotations

import re
from collections import Counter
from functools import cached_property
from pathlib import Path

import numpy as np

from kinelex.datasets.formats.arrays import fit_width
from kinelex.datasets.formats.clip import Clip
from kinelex.datasets.formats.table import Table, read_table
from kinelex.errors import InputError, unknown_name
from kinelex.skeleton import SkeletonLayout, common_names, get_layout, layout_names

_FRAMES = ("frame", "frames", "frame_number", "frame_id", "frame_index", "frame_idx", "frame_no", "fnum", "")
_BESIDE = ("time", "timestamp", "timestamps", "t", "sec", "seconds", "ms", "index", "idx", "unnamed_0")
_PERSONS = ("person", "person_id", "track", "track_id", "person_index", "body_id", "subject_id")
_SCORES = "c|conf|confidence|score|visibility|vis|v|likelihood|prob|probability|presence|p"
_AXIS_LAST = re.compile(rf"(.*?)[\s_.:/-]+([xyz]|{_SCORES})", re.IGNORECASE)
_AXIS_CAMEL = re.compile(r"(.*[a-z0-9])([XYZ])")
_AXIS_FIRST = re.compile(rf"([xyz]|{_SCORES})[\s_.:/-]*(.+)", re.IGNORECASE)
_UNIT = re.compile(r"\s*[\[(]\s*(\w+)\s*[\])]")
_POSITION = re.compile(r"[\s_.:-]+(pos|position|translation|coord|world)$", re.IGNORECASE)
_MOST_LOST = 1  # lost frames per frame that is there


def read_csv(path: Path, layout: SkeletonLayout | None, channels: str | None = None) -> Clip:
    """A clip of one row per frame.

    With a header the columns are ``JOINT_x``, ``JOINT_y`` and maybe ``JOINT_z`` and a confidence, in any
    order and in the ways in which other tools write that; joints that the layout does not have, and columns
    such as ``time``, are passed over. Without one they are the numbers in the layout's order, person after
    person. Frames that a column of frame numbers leaves out are NaN.

    Args:
        layout: the layout of the joints; None takes the built-in one whose joints the header names.
        channels: what the numbers of a joint are, for files without a header.
    """
    table = read_table(path)
    if table.header is None:
        return _in_order(table, layout, channels)
    columns = _Columns(table)
    return columns.clip(layout or columns.layout())


def _in_order(table: Table, layout: SkeletonLayout | None, channels: str | None) -> Clip:
    if layout is None:
        raise InputError(f"{table.path}: a .csv does not tell its layout: pass --layout NAME or FILE.yaml")
    x = table.numbers([*range(table.width)])
    least = layout.num_joints * (2 if channels is None else len(channels))
    for beside in (1, 2):  # columns before the coordinates that count frames, and time
        rest = table.width - beside
        if rest >= least and rest % layout.num_joints == 0 and table.width % layout.num_joints != 0:
            steps = np.diff(x[:, :beside], axis=0)
            if (steps > 0).all():
                whole = np.array_equal(x[:, 0], np.round(x[:, 0]))
                rows = fit_width(x[:, beside:], layout.num_joints, channels, table.path)
                return Clip(_at_frames(rows, x[:, 0], table.path) if whole else rows)
    return Clip(fit_width(x, layout.num_joints, channels, table.path))


class _Columns:
    """The columns of a table by joint and axis."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self.places: dict[str, dict[str, int]] = {}  # joint as the file calls it: axis: column
        self.frames: int | None = None
        self.odd: list[str] = []
        self.unit: str | None = None
        for column, name in enumerate(table.header or ()):
            self._add(column, name)

    def _add(self, column: int, name: str) -> None:
        unit = _UNIT.search(name)
        bare = _UNIT.sub("", name).strip()
        plain = re.sub(r"[\s.:-]+", "_", bare.lower()).strip("_")
        if plain in _FRAMES or plain.startswith("bodyparts"):
            self.frames = column if self.frames is None else self.frames
        elif plain in _PERSONS:
            self._check_one_person(column, name)
        elif plain not in _BESIDE:
            joint, axis = _split(bare)
            if not axis:
                self.odd.append(name)
                return
            axes = self.places.setdefault(joint, {})
            if axis in axes and axis != "c":
                raise InputError(f"{self.table.path}: columns twice in the header: {name}")
            axes.setdefault(axis, column)
            found = unit[1] if unit else self.table.units[column].strip("[]()") if self.table.units else None
            self.unit = self.unit or (found if axis == "x" else None)

    def _check_one_person(self, column: int, name: str) -> None:
        numbers = self.table.numbers([column])
        if len(np.unique(numbers)) > 1:
            raise InputError(
                f"{self.table.path}: column {name!r} has several persons, one in a row: expects one "
                "row per frame; write a file per person, or an array (T, M, V, C)"
            )

    @cached_property
    def _names(self) -> dict[str, str]:
        """What each joint is called in the common vocabulary, and what the file calls it."""
        raw = list(self.places)
        names = common_names(raw)
        for name, count in Counter(names).items():
            if count > 1:
                twice = " and ".join(r for r, n in zip(raw, names, strict=True) if n == name)
                raise InputError(f"{self.table.path}: columns twice in the header: joint {twice}")
        return dict(zip(names, raw, strict=True))

    def layout(self) -> SkeletonLayout:
        """The built-in layout with most joints all of which are here."""
        names = self._names
        layouts = [get_layout(name) for name in layout_names()]
        whole = [layout for layout in layouts if set(layout.joints) <= set(names)]
        most = max((layout.num_joints for layout in whole), default=0)
        best = [layout for layout in whole if layout.num_joints == most]
        if not best or (len(best) > 1 and len({frozenset(layout.joints) for layout in best}) > 1):
            raise InputError(
                f"{self.table.path}: its header has the joints of no built-in layout: pass --layout NAME or "
                f"--layout FILE.yaml; it has {', '.join(list(names)[:6])}, …"
            )
        return best[0]

    def clip(self, layout: SkeletonLayout) -> Clip:
        """The joints of a layout."""
        found = [self._joint(joint, number, layout) for number, joint in enumerate(layout.joints)]
        axes = "xyz" if any("z" in places for places in found) else "xy"
        places = dict(zip(layout.joints, found, strict=True))
        missing = [f"{joint}_{axis}" for joint in layout.joints for axis in axes if axis not in places[joint]]
        if missing:
            self._refuse(missing, layout, axes)
        scored = all("c" in places for places in found)
        wanted = [places[axis] for places in found for axis in axes + "c" * scored]
        x = self.table.numbers(wanted).reshape(-1, 1, layout.num_joints, len(axes) + scored)
        if self.frames is not None:
            x = _at_frames(x, self.table.numbers([self.frames])[:, 0], self.table.path)
        coordinates, scores = (x[..., :-1], x[..., -1]) if scored else (x, None)
        used = {column for columns in found for column in columns.values()}
        beside = [raw for raw, columns in self.places.items() if not used & set(columns.values())]
        others = ", ".join([*beside, *self.odd][:6])
        notes = (f"joints and columns left out: {others}",) if others else ()
        return Clip(coordinates, scores, layout.joints, layout, units=self.unit, notes=notes)

    def _joint(self, joint: str, number: int, layout: SkeletonLayout) -> dict[str, int]:
        """The columns of a joint: by its name, the common one, or its number where joints are counted."""
        if joint in self.places:
            return self.places[joint]
        if all(name.isdecimal() for name in self.places) and len(self.places) == layout.num_joints:
            first = min(map(int, self.places))
            return self.places.get(str(number + first), {})
        names, vocabulary = self._names, common_names(layout.joints)
        return self.places.get(names.get(joint, names.get(vocabulary[number], "")), {})

    def _refuse(self, missing: list[str], layout: SkeletonLayout, axes: str) -> None:
        known = [f"{joint}_{axis}" for joint in layout.joints for axis in axes]
        names = self._names
        odd = [*self.odd, *(raw for name, raw in names.items() if name not in layout.joints)]
        told = f"; {unknown_name(f'column for {layout.name}', odd[0], known)}" if odd else ""
        lacking = f"{', '.join(missing[:4])} ({len(missing)} in all)"
        raise InputError(f"{self.table.path}: the header lacks {lacking}{told}")


def _split(name: str) -> tuple[str, str]:
    """A column's joint and axis (c for a confidence); no axis where it has none."""
    for pattern, joint, axis in ((_AXIS_LAST, 1, 2), (_AXIS_CAMEL, 1, 2), (_AXIS_FIRST, 2, 1)):
        match = pattern.fullmatch(name)
        if match and (
            pattern is not _AXIS_FIRST or match[joint].isdecimal() or len(match[joint]) < len(name) - 1
        ):
            letter = match[axis].lower()
            return _POSITION.sub("", match[joint].strip()), letter if letter in "xyz" else "c"
    return name, ""


def _at_frames(x: np.ndarray, frames: np.ndarray, path: Path) -> np.ndarray:
    """Rows at the places that their frame numbers say, NaN where a number is left out."""
    if len(frames) < 2 or not np.isfinite(frames).all():
        return x
    steps = np.diff(frames)
    if (steps <= 0).any():
        row = int((steps <= 0).argmax()) + 1
        raise InputError(
            f"{path}: row {row + 1} has frame {frames[row]:g} behind {frames[row - 1]:g}: expects one row "
            "per frame in their order (several persons need a file each, or an array)"
        )
    sizes, often = np.unique(steps, return_counts=True)
    places = (frames - frames[0]) / sizes[often.argmax()]
    if not np.array_equal(places, np.round(places)):
        return x  # a time, or another count: it does not say how many are left out
    total = int(places[-1]) + 1
    if total - len(x) > _MOST_LOST * len(x):
        raise InputError(
            f"{path}: frames {frames[0]:g} to {frames[-1]:g}, but {len(x)} rows: more frames are left out "
            "than are there"
        )
    if total == len(x):
        return x
    whole = np.full((total, *x.shape[1:]), np.nan)
    whole[places.astype(np.int64)] = x
    return whole
