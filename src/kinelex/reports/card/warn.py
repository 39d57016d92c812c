"""What a user of a data set should know before training on it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from kinelex.data import SkeletonStore
from kinelex.data.splits.split import protocol_parts
from kinelex.reports.card.scan import Findings

_MOSTLY_EMPTY, _OFTEN_MISSING = 0.5, 0.2
_SMALLEST, _LARGEST = 0.1, 5.0  # metres: a hand alone, and a body with stretched arms and noise


@dataclass(frozen=True)
class Warn:
    """One warning.

    Args:
        kind: short name, for scripts.
        count: clips concerned (joints for ``missing_joints``).
        text: what it means, full sentences.
        items: the clips (groups of clips, joints, classes), all of them, the graver ones first.
        protocols: for ``copies``: per protocol the test clips that are copies of training clips.
    """

    kind: str
    count: int
    text: str
    items: list[str] = field(default_factory=list)
    protocols: dict[str, int] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        found: dict[str, Any] = {"kind": self.kind, "count": self.count, "text": self.text}
        found |= {"items": self.items}
        return {**found, "protocols": self.protocols} if self.kind == "copies" else found


def warnings_of(store: SkeletonStore, found: Findings) -> list[Warn]:
    """The warnings of a store, the graver ones first; empty for a clean one."""
    every = [
        _units(store, found),
        _copies(store, found),
        _copies_of_other_classes(store, found),
        _clips(store, "constant", found.constant, "do not move: all their frames are the same."),
        _empty(store, found),
        _jumps(store, found),
        _joints(store, found),
        _clips(store, "single_frame", store.lengths == 1, "have a single frame: there is no motion in them."),
        _clips(store, "unlabelled", store.labels < 0, "have no label: no evaluation counts them."),
        _classes(store),
    ]
    return [warning for warning in every if warning.count]


def _units(store: SkeletonStore, found: Findings) -> Warn:
    """Metres in which no body can be: centimetres, millimetres or pixels that were taken for metres."""
    size, there = found.scale.body, bool((found.empty < 1).any())
    wrong = store.meta.units == "metres" and there and not _SMALLEST <= size <= _LARGEST
    text = (
        f"are said to be in metres, and the median diagonal of the bodies is {size:.3g}, which is no body in "
        "metres: prepare again with the right --units (centimetres, millimetres, pixels) or --scale. Until "
        "then sizes and distances in this store have no unit."
    )
    return Warn("units", len(store) if wrong else 0, text)


def copies_across(copies: np.ndarray, train: np.ndarray, test: np.ndarray) -> int:
    """Test clips that are copies of a training clip.

    >>> copies_across(np.array([0, -1, 0, -1]), np.array([0, 1]), np.array([2, 3]))
    1
    """
    known = copies[train]
    return int(np.isin(copies[test], known[known >= 0]).sum())


def _copies(store: SkeletonStore, found: Findings) -> Warn:
    rows = np.flatnonzero(found.copies >= 0)
    groups = _groups(found)
    parts = protocol_parts(store).items()
    across = {name: n for name, (train, test) in parts if (n := copies_across(found.copies, train, test))}
    text = f"are the same as another clip to the last bit ({_numbered(len(groups), 'group')})."
    if across:
        worst = max(across, key=lambda name: across[name])
        text += (
            f" Some of them stand on both sides of a protocol, most in {worst}: {across[worst]} of its test "
            "clips are copies of training clips. A nearest neighbour search finds them for nothing, so "
            "kinelex evaluate also gives its numbers without copies."
        )
    items = [", ".join(store.ids[row] for row in group) for group in groups]
    return Warn("copies", len(rows), text, items, across)


def _groups(found: Findings) -> list[np.ndarray]:
    order = np.argsort(found.copies, kind="stable")
    order = order[found.copies[order] >= 0]
    if not len(order):
        return []
    return np.split(order, np.flatnonzero(np.diff(found.copies[order])) + 1)


def _copies_of_other_classes(store: SkeletonStore, found: Findings) -> Warn:
    mixed = [group for group in _groups(found) if len(np.unique(store.labels[group])) > 1]
    items = [", ".join(f"{store.ids[row]} ({_label(store, row)})" for row in group) for group in mixed]
    count = sum(len(group) for group in mixed)
    return Warn("copies_of_other_classes", count, "are copies of a clip with another label.", items)


def _label(store: SkeletonStore, row: int) -> str:
    return store.class_names[store.labels[row]] if store.labels[row] >= 0 else "no label"


def _clips(store: SkeletonStore, kind: str, which: np.ndarray, text: str) -> Warn:
    return Warn(kind, int(which.sum()), text, [store.ids[row] for row in np.flatnonzero(which)])


def _empty(store: SkeletonStore, found: Findings) -> Warn:
    rows = np.flatnonzero(found.empty > _MOSTLY_EMPTY)
    rows = rows[np.argsort(-found.empty[rows], kind="stable")]
    items = [f"{store.ids[row]}: {percent(found.empty[row])} of {store.lengths[row]} frames" for row in rows]
    return Warn("mostly_empty", len(rows), "show nobody in more than half of their frames.", items)


def _jumps(store: SkeletonStore, found: Findings) -> Warn:
    limit, layout = found.scale.jump, store.layout
    units = store.meta.units if not _units(store, found).count else "of no unit that is known"
    text = (
        f"have a joint that goes farther than {limit:.2g} body sizes from one frame to the next. (A body's "
        f"size is the median diagonal of the bodies, {found.scale.body:.3g} {units}; the limit is "
        "0.35 of it, or the median step + 20 median deviations where that is more.)"
    )
    items = []
    for jump in found.jumps:
        person = f", person {jump.person}" if store.persons[jump.row] > 1 else ""
        place = f"{layout.joints[jump.joint]}, frame {jump.frame}{person}"
        items.append(f"{store.ids[jump.row]}: {place}, {jump.step:.2g} body sizes")
    return Warn("jumps", len(items), text, items)


def _joints(store: SkeletonStore, found: Findings) -> Warn:
    joints = np.flatnonzero(found.joint_missing > _OFTEN_MISSING)
    items = [f"{store.layout.joints[j]}: {percent(found.joint_missing[j])}" for j in joints]
    return Warn("missing_joints", len(items), "are missing in more than 20 % of the bodies.", items)


def _classes(store: SkeletonStore) -> Warn:
    counts = np.bincount(store.labels[store.labels >= 0], minlength=len(store.class_names))
    items = [store.class_names[label] for label in np.flatnonzero(counts == 0)]
    return Warn("empty_classes", len(items), "have no clip in this store.", items)


def percent(share: float) -> str:
    """A share in per cent.

    >>> percent(0.25), percent(0.00001), percent(0.0)
    ('25 %', '< 0.1 %', '0 %')
    """
    return "< 0.1 %" if 0 < share < 0.001 else f"{100 * share:.3g} %"


def _numbered(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
