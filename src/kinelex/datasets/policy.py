"""What every reader does with a clip in the same way: who is there, absent joints, lost frames, the rate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from kinelex.data import Sequence, StoreMeta
from kinelex.errors import InputError, unknown_name

GAPS = ("interpolate", "drop", "keep", "refuse")
MOST_PERSONS = 16
OPTIONS: dict[str, tuple[type, Any, str]] = {  # name: type, default, description
    "name": (str, None, "name of the data set in the store; by default that of the reader"),
    "gaps": (
        str,
        None,
        "lost frames (not numbers, left out by the frame numbers, nobody there): interpolate, drop, keep (as "
        "frames without a body) or refuse; folder interpolates by default, array formats keep",
    ),
    "persons": (int, MOST_PERSONS, "how many persons of a clip are kept at most, those seen longest"),
    "fps": (float, None, "frames per second of clips whose files do not say it"),
}
NOTES = {  # what is done to clips, before how often
    "scores": "joints of confidence 0, taken as absent (zeros)",
    "missing": "joints that are not numbers (NaN), taken as absent (zeros)",
    "persons": "persons left out, more than --persons",
    "interpolate": "lost frames interpolated (--gaps)",
    "drop": "lost frames dropped (--gaps)",
    "ends": "lost frames at the ends of clips left out (--gaps)",
    "crowd": "detections of persons for whom there was no place (--persons)",
    "brief": "persons left out who are seen too briefly (track.shortest)",
    "grid": "frames at uneven times, put on a grid of equal steps",
}


@dataclass(frozen=True)
class Policy:
    """The options that all readers share.

    Args:
        gaps: what happens to lost frames, one of :data:`GAPS`; None refuses clips with a number that is none
            and leaves frames without a body as they are.
        persons: how many persons of a clip are kept at most.
        fps: frames per second where the files do not say it.
        name: name of the data set; None keeps the reader's.
    """

    gaps: str | None = None
    persons: int = MOST_PERSONS
    fps: float | None = None
    name: str | None = None

    def __post_init__(self) -> None:
        if self.gaps not in (None, *GAPS):
            raise unknown_name("--gaps", str(self.gaps), GAPS)
        if self.persons < 1:
            raise InputError(f"--persons {self.persons}: expects at least 1 person")
        if self.fps is not None and not 0 < self.fps < float("inf"):
            raise InputError(f"--fps {self.fps}: expects a positive number of frames per second")
        if self.name is not None and not self.name.strip():
            raise InputError("--name is empty: expects a name for the data set")

    def described(self, meta: StoreMeta, notes: list[str]) -> StoreMeta:
        """What the store says about itself, with these options and with what the reader guessed."""
        more: dict[str, Any] = {} if self.gaps is None else {"gaps": self.gaps}
        more |= {"notes": list(notes)} if notes else {}
        return replace(meta, dataset=self.name or meta.dataset, prepared={**meta.prepared, **more})

    def apply(self, clip: Sequence, scale: float = 1.0) -> Sequence:
        """A clip as the store should have it, with its ``changes``: how much of what was done to it.

        Args:
            clip: the clip as the file has it.

        Joints without a number or of confidence 0 are absent, zeros. Persons who are in no frame have no
        place: the first person there is person 0. Then lost frames are treated.
        """
        if clip.coordinates.ndim != 4 or 0 in clip.coordinates.shape:
            return clip
        done = dict(clip.changes)
        if scale != 1:
            clip = replace(clip, coordinates=np.asarray(clip.coordinates * scale, np.float32))
        clip = _without_absent_joints(replace(clip, fps=clip.fps or self.fps), self.gaps, done)
        clip = _with_persons(clip, self.persons, done)
        clip = _with_gaps(clip, self.gaps, done)
        return replace(clip, changes={kind: n for kind, n in done.items() if n})


def _without_absent_joints(clip: Sequence, gaps: str | None, done: dict[str, int]) -> Sequence:
    x, scores = clip.coordinates, clip.scores
    missing = np.isnan(x).any(axis=3) & (gaps is not None)
    done["missing"] = int(missing.sum())
    if done["missing"] and gaps == "refuse":
        frame = int(missing.any(axis=(1, 2)).argmax())
        raise InputError(f"{clip.id}: coordinates of frame {frame} are not numbers (NaN): see --gaps")
    absent = missing
    if scores is not None and scores.shape == x.shape[:3]:
        scores = np.where(missing, 0, np.nan_to_num(scores, nan=0.0, posinf=np.inf, neginf=-np.inf))
        unseen = (scores <= 0) & ~missing & x.any(axis=3)
        done["scores"] = int(unseen.sum())
        absent = missing | unseen
    if not absent.any():
        return replace(clip, scores=scores)
    return replace(clip, coordinates=np.where(absent[..., None], 0, x), scores=scores)


def _with_persons(clip: Sequence, most: int, done: dict[str, int]) -> Sequence:
    """The persons who are in a frame, at most so many; one place stays where nobody is."""
    seen = np.asarray(clip.coordinates.any(axis=(2, 3))).sum(axis=0)  # frames
    places = np.flatnonzero(seen)
    if len(places) > most:
        done["persons"] = len(places) - most
        places = np.sort(places[np.argsort(-seen[places], kind="stable")[:most]])
    if len(places) == len(seen):
        return clip
    places = places if len(places) else np.zeros(1, np.int64)
    return _mapped(clip, lambda x: np.ascontiguousarray(x[:, places]))


def _with_gaps(clip: Sequence, gaps: str | None, done: dict[str, int]) -> Sequence:
    there = np.asarray(clip.coordinates.any(axis=(1, 2, 3)))
    frames = np.flatnonzero(there)
    if gaps in (None, "keep") or len(frames) in (0, len(there)):
        return clip
    first, last = int(frames[0]), int(frames[-1])
    lost = last + 1 - first - len(frames)
    if gaps == "refuse" and lost:
        frame = first + int(there[first:].argmin())
        raise InputError(f"{clip.id}: frame {frame} is lost (nobody is there): see --gaps")
    if lost > len(frames):
        raise InputError(
            f"{clip.id}: {lost} frames are lost and {len(frames)} are there: too few to fill the gaps "
            "between them; --gaps keep leaves them as frames without a body"
        )
    done[str(gaps)], done["ends"] = lost, len(there) - (last + 1 - first)
    if gaps == "drop":
        return _mapped(clip, lambda x: np.ascontiguousarray(x[frames]))
    return _mapped(clip, lambda x: _interpolated(x, frames))


def _interpolated(x: np.ndarray, frames: np.ndarray) -> np.ndarray:
    """All frames from the first to the last of some, those between them on straight lines, joint by joint."""
    wanted = np.arange(frames[0], frames[-1] + 1)
    after = np.searchsorted(frames, wanted)
    before = np.where(frames[after] == wanted, after, after - 1)
    left, right = frames[before], frames[after]
    share = (wanted - left) / np.maximum(right - left, 1)
    share = share.reshape(-1, *(1,) * (x.ndim - 1))
    a, b = x[left], x[right]
    there = (a != 0) & (b != 0) if x.ndim == 3 else a.any(axis=-1, keepdims=True) & b.any(-1, keepdims=True)
    return np.where(there | (share == 0), a + share * (b - a), 0).astype(x.dtype)


def _mapped(clip: Sequence, change: Any) -> Sequence:
    """A clip with its arrays changed alike."""
    arrays = {name: getattr(clip, name) for name in ("coordinates", "image_coordinates", "scores")}
    return replace(clip, **{name: change(x) for name, x in arrays.items() if x is not None})


def notes_of(clips: Mapping[str, int], changes: Mapping[str, int]) -> list[str]:
    """What was done to clips, in sentences.

    >>> notes_of({"drop": 2}, {"drop": 3})
    ['lost frames dropped (--gaps): 3 in 2 clips']
    """
    return [
        f"{text}: {changes[kind]} in {clips[kind]} clip{'s' * (clips[kind] > 1)}"
        for kind, text in NOTES.items()
        if kind in changes
    ]
