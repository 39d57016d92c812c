"""Pictures ``video``: frames of the clips' videos, as they were recorded."""

from pathlib import Path
from typing import Any

import numpy as np

from kinelex.datasets.pku_intervals import PkuIntervals
from kinelex.errors import InputError
from kinelex.files.video import BrokenVideo, VideoFile, need_av
from kinelex.prompts.base import EngineContext
from kinelex.prompts.video.find_videos import find_videos


def video_frames(indices: np.ndarray, skeleton: int, video: int, first: int = 0) -> np.ndarray:
    """Which frames of a video show given frames of its skeletons, in proportion where their numbers differ.

    A video has so many frames, its skeletons so many, of which the clip's begin at ``first``.

    Shape:
        - indices and returns: (P,) int64, counted from 0

    >>> video_frames(np.array([0, 5, 9]), 10, 10).tolist(), video_frames(np.array([0, 5, 9]), 10, 20).tolist()
    ([0, 5, 9], [1, 11, 19])
    """
    at = np.floor((np.asarray(indices) + first + 0.5) * video / skeleton).astype(np.int64)
    return np.minimum(at, video - 1)


class VideoPictures:
    """Frame source: the videos of the clips, found by name under a folder.

    A clip's frames are decoded in one pass; clips that lie one after the other in a recording are decoded
    going on from where the last one ended.
    """

    name = "video"
    version = "1"

    def __init__(self, context: EngineContext) -> None:
        self.settings: dict[str, Any] = {}
        self._store = context.clips("pictures video")
        if context.source is None:
            raise InputError("pictures video reads the clips' videos: name their folder with --source DIR")
        need_av()
        folder = Path(context.source)
        self._videos = find_videos(folder, self._store)
        self._parts: PkuIntervals | None = None
        if any(is_part for _, is_part in self._videos.values()):
            self._parts = PkuIntervals([folder, self._store.meta.source])
        self._open: VideoFile | None = None
        self._decoded = 0
        self._kept: tuple[int, dict[int, np.ndarray]] = (-1, {})  # the last clip's pictures by frame
        self._unreadable: dict[Path, str] = {}
        self._lost: dict[int, tuple[Path, str]] = {}  # row: its video, and why it has no pictures
        self._stretched: dict[int, float] = {}

    @property
    def decoded(self) -> int:
        """How many frames have been decoded so far."""
        return self._decoded + (self._open.decoded if self._open else 0)

    def frames(self, row: int, indices: np.ndarray) -> np.ndarray | None:
        """Frames of a clip, (P, H, W, 3) uint8; None where it has no video, or one that cannot be read."""
        path, is_part = self._videos.get(self._store.ids[row], (None, False))
        if path is None:
            return None
        try:
            video = self._opened(path)
            wanted = self._wanted(row, np.asarray(indices), video, is_part)
            last, pictures = self._kept
            if last != row or not set(wanted.tolist()) <= pictures.keys():
                pictures = dict(video.pictures(wanted))
                self._kept = row, pictures
        except BrokenVideo as error:
            self._close()
            self._lost[row] = path, str(error)
            return None
        return np.stack([pictures[number] for number in wanted.tolist()])

    def _opened(self, path: Path) -> VideoFile:
        if path in self._unreadable:
            raise BrokenVideo(self._unreadable[path])
        if self._open is None or self._open.path != path:
            self._close()
            try:
                self._open = VideoFile(path)
            except BrokenVideo as error:
                self._unreadable[path] = str(error)
                raise
        return self._open

    def _close(self) -> None:
        if self._open is not None:
            self._decoded += self._open.decoded
            self._open.close()
            self._open = None

    def _wanted(self, row: int, indices: np.ndarray, video: VideoFile, is_part: bool) -> np.ndarray:
        clip, length = self._store.ids[row], int(self._store.lengths[row])
        if not is_part or self._parts is None:
            first, total = 0, length
        else:
            interval = self._parts.find(clip)
            first, total = interval.start, interval.total or video.frames
            if interval.end - interval.start != length:
                raise InputError(
                    f"{clip}: has {length} frames in {self._store.path}, its line in the label file "
                    f"{interval.end - interval.start}: expects the label files that the store was made from"
                )
            if interval.end > total:
                raise BrokenVideo(f"has {total} frames, {clip} ends at frame {interval.end}")
        if total != video.frames:
            self._stretched[row] = video.frames / total
        return video_frames(indices, total, video.frames, first)

    def notes(self) -> list[str]:
        """What the user should know about the videos read so far, a sentence each."""
        said = []
        if self._stretched:
            ratios = np.array(list(self._stretched.values()))
            said.append(
                f"{len(ratios)} clips have videos with another number of frames than their skeletons "
                f"({ratios.min():.2f} to {ratios.max():.2f} times as many): frames are matched in proportion"
            )
        if self._lost:
            first = "{} {}".format(*next(iter(self._lost.values())))
            said.append(f"{len(self._lost)} clips get no pictures from their videos; the first: {first}")
        return said
