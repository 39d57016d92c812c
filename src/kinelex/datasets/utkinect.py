"""Reader of UT-Kinect Action3D: 20 joints of Kinect v1, ten actions one after the other in every recording.

``joints/joints_sSS_eEE.txt`` (subject, episode) has a line per frame: its number, and x, y, z of 20 joints in
metres. ``actionLabel.txt`` says in which frames of a recording each action is: a line ``s01_e01``, then lines
such as ``walk: 252 390``; NaN stands for an action that is missing.

Source: Xia, Chen, Aggarwal: View invariant human action recognition using histograms of 3D joints, CVPR
workshops 2012.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

import numpy as np

from kinelex.data import Sequence
from kinelex.datasets.formats.numbers import parse_numbers, read_lines, split_line
from kinelex.datasets.reader import FilesReader, Item, Skipped
from kinelex.errors import InputError, unknown_name

LABELS = {  # in actionLabel.txt: in words
    "walk": "walk",
    "sitDown": "sit down",
    "standUp": "stand up",
    "pickUp": "pick up",
    "carry": "carry",
    "throw": "throw",
    "push": "push",
    "pull": "pull",
    "waveHands": "wave hands",
    "clapHands": "clap hands",
}
LABEL_FILE = "actionLabel.txt"
_RECORDING = re.compile(r"s(?P<subject>\d{1,3})_e(?P<episode>\d{1,3})")
_INTERVAL = re.compile(r"(?P<action>\w+)\s*:\s*(?P<start>\d{1,9}|NaN)\s+(?P<end>\d{1,9}|NaN)", re.IGNORECASE)
_JOINTS, _EPISODES = 20, 2
Interval = tuple[str, int, int]  # action, first and last frame number


def read_labels(path: Path) -> dict[str, list[Interval | str]]:
    """The intervals of every recording; a text says why an action of it is none."""
    lines, _ = read_lines(path)
    found: dict[str, list[Interval | str]] = {}
    recording = ""
    for number, line in enumerate(lines, start=1):
        text = line.decode("utf-8", errors="backslashreplace").strip()
        where = f"{path}: line {number}"
        match = _INTERVAL.fullmatch(text)
        if _RECORDING.fullmatch(text) and text not in found:
            recording, found[text] = text, []
        elif match and recording:
            if match["action"] not in LABELS:
                raise InputError(f"{where}: {unknown_name('action', match['action'], LABELS)}")
            found[recording].append(_interval(match, f"{where}: {recording}"))
        elif text:
            expected = "expects a recording (s01_e01) or frames (walk: 252 390)"
            raise InputError(f"{where}: {expected}, got {text[:40]!r}")
    return found


def _interval(match: re.Match[str], where: str) -> Interval | str:
    if "nan" in (match["start"].lower(), match["end"].lower()):
        return f"{where} has no frames of {match['action']} (NaN)"
    start, end = int(match["start"]), int(match["end"])
    if start > end:
        return f"{where}: {match['action']} ends at {end}, before it begins at {start}"
    return match["action"], start, end


def read_joints(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Frame numbers and frames of a recording, each number once.

    A last line without an end may have lost digits: it is left out.

    Shape:
        - returns: (T,), (T, 20, 3)
    """
    lines, ended = read_lines(path)
    rows = []
    for number, line in enumerate(lines if ended else lines[:-1], start=1):
        where = f"{path}: line {number}"
        rows.append(parse_numbers(split_line(line, False, 1 + 3 * _JOINTS, where), where))
    table = np.array(rows).reshape(-1, 1 + 3 * _JOINTS)
    _, first = np.unique(table[:, 0], return_index=True)
    return table[first, 0], table[first, 1:].reshape(-1, _JOINTS, 3).astype(np.float32)


class UtKinectReader(FilesReader):
    """Reader of UT-Kinect Action3D.

    Args:
        source: the folder that holds actionLabel.txt, and the joints' files in it or under it.
    """

    dataset = "utkinect"
    expected = f"{LABEL_FILE} and the files joints/joints_sSS_eEE.txt"
    layout = "kinect20"
    pattern = "joints_s*_e*.txt"

    @classmethod
    def class_names(cls) -> tuple[str, ...]:
        return tuple(LABELS.values())

    def files(self, item: Item) -> tuple[Path, ...]:
        return (item.path, self.source / LABEL_FILE)

    def read(self, item: Item) -> Iterator[Sequence | Skipped]:
        recording = item.path.stem.removeprefix("joints_")
        match = _RECORDING.fullmatch(recording)
        if match is None or recording not in self._labels:
            raise InputError(f"{item.path}: {LABEL_FILE} has no frames of {recording!r}")
        numbers, frames = read_joints(item.path)
        subject, episode = int(match["subject"]), int(match["episode"])
        for interval in self._labels[recording]:
            if isinstance(interval, str):
                path = self.source / LABEL_FILE
                yield Skipped(path, interval)
                continue
            action, start, end = interval
            label = list(LABELS).index(action)
            x = frames[(numbers >= start) & (numbers <= end)]
            if not len(x):
                yield Skipped(item.path, f"{item.path}: has no frame from {start} to {end} ({action})")
                continue
            yield Sequence(
                id=f"{recording}_a{label + 1:02}",
                coordinates=x[:, None],
                label=label,
                subject=subject,
                setup=_EPISODES * (subject - 1) + episode,
                replication=episode,
            )

    @cached_property
    def _labels(self) -> dict[str, list[Interval | str]]:
        return read_labels(self.source / LABEL_FILE)
