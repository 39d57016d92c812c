"""Which of the bodies that Kinect v2 reports are the persons of a clip, in two published ways.

A Kinect loses people, finds them again under another bodyID, and takes furniture for people. Both ways say
how they decide what their sources leave open; a body whose joints are all at zero is not there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from kinelex.errors import InputError

SHORT = 11  # frames: a track this short, or shorter, is noise
WIDE = 0.8  # of the height: a body wider than that is noise
NOISY = 0.69754  # of the frames: a track with this many noisy ones, or more, is noise
LISTED = 4  # bodies of a frame that `energy` looks at
LONGEST = 300  # frames that `energy` keeps


@dataclass(frozen=True)
class Recording:
    """The bodies of a recording in the order in which the file lists them; R bodies in all frames together.

    Shape:
        - frame, slot, track: (R,) int64; coordinates: (R, V, 3) float32; pixels: (R, V, 2) float32
    """

    frames: int  # number of frames, those without a body included
    frame: np.ndarray  # the frame of each body, ascending
    slot: np.ndarray  # its place in the list of its frame, from 0
    track: np.ndarray  # the number of its bodyID, from 0 in the order of first appearance; once per frame
    coordinates: np.ndarray  # its joints, metres
    pixels: np.ndarray  # its joints in the colour image, pixels

    def there(self) -> Recording:
        """Without the bodies whose joints are all at zero."""
        rows = np.flatnonzero(self.coordinates.any(axis=(1, 2)))
        return self if len(rows) == len(self.frame) else self._at(rows)

    def _at(self, rows: np.ndarray) -> Recording:
        parts = (self.frame, self.slot, self.track, self.coordinates, self.pixels)
        return Recording(self.frames, *(part[rows] for part in parts))


@dataclass(frozen=True)
class Persons:
    """The persons of a clip; one who is not there is all zeros.

    Shape:
        - coordinates: (T, M, V, 3) float32, metres; M is 1 or 2; pixels: (T, M, V, 2) float32
    """

    coordinates: np.ndarray
    pixels: np.ndarray

    @classmethod
    def from_rows(cls, recording: Recording, rows: list[np.ndarray]) -> Persons:
        """Person m from the bodies ``rows[m]``; of two in the same frame the later one stays."""
        shape = (recording.frames, len(rows), recording.coordinates.shape[1])
        coordinates, pixels = np.zeros((*shape, 3), np.float32), np.zeros((*shape, 2), np.float32)
        for person, chosen in enumerate(rows):
            coordinates[recording.frame[chosen], person] = recording.coordinates[chosen]
            pixels[recording.frame[chosen], person] = recording.pixels[chosen]
        return cls(coordinates, pixels)


def clean_tracks(recording: Recording) -> Persons:
    """Persons from whole tracks: the steps of CTR-GCN's preparation.

    A bodyID is a track. With more than one: tracks of 11 frames or fewer are dropped; tracks of which 69.754
    % of the frames or more are wider than 0.8 of their height are dropped; the rest is sorted by motion, the
    variance of all joints in all frames summed over x, y and z (that of the good frames if it is smaller).
    The first is person 0. Each further one is a continuation of person 0 if it does not overlap it, else of
    person 1 if it does not overlap that one, else dropped. Frames with nobody are removed.

    What was decided here: when all tracks are short none is dropped, so that the clip is not lost. Width is
    judged in the order of first appearance, and judging ends when one track is left. Equal motion keeps that
    order. A track's interval goes from its first to its last frame, with the frames in which it was lost.

    Returns:
        The persons; M is 1 where nobody became person 1.

    Source: Chen et al., CTR-GCN, ICCV 2021, the preparation published with it, after Zhang et al., SGN, CVPR
    2020. As there, intervals that share a single frame do not overlap: the body with less motion has that
    frame. Differs from the published code in: person 1's interval begins with its first track, not with the
    clip; all sums in float64.
    """
    recording = recording.there()
    tracks = [np.flatnonzero(recording.track == k) for k in np.unique(recording.track)]
    if not tracks:
        raise InputError("no frame has a body")
    tracks = sorted(tracks, key=lambda rows: int(rows[0]))
    if len(tracks) > 1:
        tracks = _by_motion(recording, [rows for rows in tracks if len(rows) > SHORT] or tracks)
    persons: list[list[np.ndarray]] = [[], []]
    intervals: list[tuple[int, int] | None] = [None, None]
    for rows in tracks:
        first, last = int(recording.frame[rows[0]]), int(recording.frame[rows[-1]])
        for person, interval in enumerate(intervals):
            if interval is None or min(interval[1], last) <= max(interval[0], first):
                persons[person].append(rows)
                begin, end = interval or (first, last)
                intervals[person] = (min(begin, first), max(end, last))
                break
    chosen = [np.concatenate(rows) for rows in persons if rows]
    result = Persons.from_rows(recording, chosen)
    kept = np.unique(recording.frame[np.concatenate(chosen)])
    if len(kept) == recording.frames:
        return result
    return Persons(result.coordinates[kept], result.pixels[kept])


def _by_motion(recording: Recording, tracks: list[np.ndarray]) -> list[np.ndarray]:
    """The tracks that are no noise, the one with most motion first."""
    left, kept = len(tracks), []
    for rows in tracks:
        x = recording.coordinates[rows].astype(np.float64)
        wide = np.ptp(x[..., 0], axis=1) > WIDE * np.ptp(x[..., 1], axis=1)
        if wide.mean() >= NOISY and left > 1:
            left -= 1
            continue
        motion = _variance(x)
        if wide.any() and not wide.all():
            motion = min(motion, _variance(x[~wide]))
        kept.append((motion, rows))
    return [rows for _, rows in sorted(kept, key=lambda pair: -pair[0])]


def _variance(x: np.ndarray) -> float:
    return float(x.reshape(-1, 3).var(axis=0).sum())


def clean_energy(recording: Recording) -> Persons:
    """Persons from places in the frames' lists: the way of skeleton-contrast and CMD.

    The bodies of a frame are told apart by their place in its list, of which the first 4 count. The two
    places with the largest energy are kept: the standard deviation of all joints over the frames in which
    a body is there, summed over x, y and z. Frames without a body stay, as zeros. At most 300 frames.

    What was decided here: the energy is that of all frames, also of those after the 300th; equal energy keeps
    the order of the list.

    Returns:
        The persons; M is 1 where only one place ever held a body.

    Source: Thoker et al., Skeleton-Contrastive 3D Action Representation Learning, ACM MM 2021; Mao et al.,
    CMD, ECCV 2022; the preparation published with them. Differs from the published code in: a frame counts
    when a coordinate is not zero, not when the sum is not; all sums in float64.
    """
    recording = recording.there()
    places = [np.flatnonzero(recording.slot == slot) for slot in range(LISTED)]
    places = [rows for rows in places if len(rows)]
    places.sort(key=lambda rows: -_energy(recording.coordinates[rows]))
    result = Persons.from_rows(recording, places[:2])
    result = Persons(result.coordinates[:LONGEST], result.pixels[:LONGEST])
    if not result.coordinates.any():
        raise InputError("no frame has a body" + (f" among the first {LONGEST}" if places else ""))
    return result


def _energy(coordinates: np.ndarray) -> float:
    return float(coordinates.astype(np.float64).reshape(-1, 3).std(axis=0).sum())


CLEANINGS: dict[str, Callable[[Recording], Persons]] = {"tracks": clean_tracks, "energy": clean_energy}
