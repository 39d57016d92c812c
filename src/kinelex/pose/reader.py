"""Videos as raw files of a skeleton store: with the workers, parts and checks of every other data set."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from kinelex.data import Sequence, StoreMeta
from kinelex.datasets.policy import Policy
from kinelex.datasets.reader import Item, Reader, Skipped
from kinelex.errors import InputError
from kinelex.files.video import BrokenVideo, VideoFile, need_av
from kinelex.pose.base import Poses
from kinelex.pose.grid import frame_rate, is_even, on_grid, usual_rate
from kinelex.pose.registry import ENGINES, engine_class
from kinelex.pose.sources import EXPECTED, Video, find_videos
from kinelex.pose.stream import PoseOptions, PoseStream


class PoseReader(Reader):
    """Videos, and a pose engine that makes clips of them.

    Args:
        sources: videos, and folders with videos.
        options: engine, coordinates, persons, tracking, smoothing.
        policy: what is done about lost frames; the name of the data set.

    Raises:
        InputError: no video, or an engine that cannot be made.
    """

    dataset = "videos"
    expected = EXPECTED
    slow = True

    def __init__(self, sources: list[Path], options: PoseOptions, policy: Policy) -> None:
        need_av()
        places = [str(Path(source).absolute()) for source in sources]
        super().__init__(Path(sources[0]) if len(sources) == 1 else Path(os.path.commonpath(places)))
        self.policy = policy
        self._options = options
        self._kind = engine_class(options.engine)
        self._videos, self._classes = find_videos(sources)
        if any(video.passed_over for video in self._videos):
            self.note("frames and fps in a manifest are passed over: a video has its own")
        with closing(options.make_engine()) as engine:
            self._layout = engine.layout
            self._world = engine.world and options.coordinates != "image"
            self._files = engine.files()
        if self._world and options.persons > 1:
            self.note(
                "places in space are metres from between each person's own hips: how far persons are from "
                "each other is in image_coordinates only"
            )

    def __getstate__(self) -> dict[str, Any]:
        """All but who is told of the progress."""
        return {**self.__dict__, "told": None}

    def meta(self) -> StoreMeta:
        o = self._options
        return StoreMeta(
            dataset=self.dataset,
            layout=self._layout,
            class_names=self._classes,
            units="metres" if self._world else "pixels",
            source=str(self.source),
            prepared={
                "reader": "pose",
                "engine": o.engine,
                "engine_options": {name: str(value) for name, value in o.engine_options.items()},
                "engine_files": list(self._files),
                "coordinates": "world" if self._world else "image",
                "rate": o.rate,
                "least": o.least,
                "smooth": None if o.smooth is None else vars(o.smooth),
                "track": vars(o.track),
            },
        )

    def items(self) -> list[Item]:
        return [Item(video.path, number) for number, video in enumerate(self._videos)]

    def read(self, item: Item) -> Iterator[Sequence | Skipped]:
        video = self._videos[item.part]
        if video.wrong is not None:
            raise InputError(video.wrong)
        try:
            yield self._clip(video)
        except BrokenVideo as error:
            raise InputError(f"{video.path}: {error}") from error

    def _clip(self, video: Video) -> Sequence:
        times, poses, size, left_out = self._poses(video.path)
        if not times:
            raise InputError(f"{video.path}: has no frames")
        image, scores = np.stack([p.image for p in poses]), np.stack([p.scores for p in poses])
        space = np.stack([p.image if p.world is None else p.world for p in poses])
        if not image.any():
            raise InputError(f"{video.path}: nobody is seen in its {len(times)} frames")
        at = np.array(times)
        changes = {
            "crowd": left_out,
            "brief": _forget_brief(at, self._options.track.shortest, image, space, scores),
        }
        rate = frame_rate(at)
        if not is_even(at):
            rate = self._options.rate or usual_rate(at)
            changes["grid"] = len(at)
            image, space = on_grid(image, at, rate), on_grid(space, at, rate)
            scores = on_grid(scores[..., None], at, rate)[..., 0]
        return Sequence(
            id=video.id,
            coordinates=space if self._world else image,
            image_coordinates=image if self._world else None,
            scores=scores,
            image_size=size,
            fps=rate,
            label=video.label,
            subject=video.subject,
            camera=video.camera,
            caption=video.caption,
            splits=video.splits,
            changes=changes,
        )

    def _poses(self, path: Path) -> tuple[list[float], list[Poses], tuple[int, int], int]:
        """Times, persons, height and width of the picture, and how many detections had no place."""
        times: list[float] = []
        poses: list[Poses] = []
        size = (0, 0)
        ENGINES.setdefault(self._options.engine, self._kind)  # in a worker, an engine of the user's script
        with closing(VideoFile(path)) as file, PoseStream(self._options) as stream:
            for number, (time, picture) in enumerate(file.timed_pictures()):
                if self.told is not None:
                    self.told(number / file.frames)
                if self._options.rate is not None and time * self._options.rate < len(times) - 1e-3:
                    continue
                size = picture.shape[0], picture.shape[1]
                times.append(time)
                poses.append(stream.step(picture, time))
            return times, poses, size, stream.tracker.left_out


def _forget_brief(times: np.ndarray, shortest: float, *arrays: np.ndarray) -> int:
    """Make those absent who are seen for a short time only; gives how many they are."""
    seen = arrays[0].any(axis=(2, 3))  # (T, M)
    step = (times[-1] - times[0]) / max(len(times) - 1, 1)
    least = min(shortest / step if step else 0, len(times) / 2)
    brief = seen.any(axis=0) & (seen.sum(axis=0) < least)
    brief &= seen.sum(axis=0) < seen.sum(axis=0).max()  # somebody stays
    for x in arrays:
        x[:, brief] = 0
    return int(brief.sum())
