"""``kinelex pose``: videos into a skeleton store."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from kinelex.datasets.policy import Policy
from kinelex.datasets.prepare import PrepareSummary, prepare_reader
from kinelex.errors import InputError
from kinelex.pose.reader import PoseReader
from kinelex.pose.stream import PoseOptions


def estimate(
    videos: str | Path | Iterable[str | Path],
    out: str | Path,
    options: PoseOptions | None = None,
    *,
    gaps: str = "keep",
    name: str | None = None,
    strict: bool = False,
    progress: bool = True,
    workers: int | None = None,
) -> PrepareSummary:
    """Find the persons in videos, and write them into a skeleton store.

    A frame of a clip is a frame of its video, and ``fps`` its rate: frame ``t`` of the clip is ``t / fps``
    seconds after the video's first. Videos with frames at uneven times are put on a grid of equal steps. A
    video that cannot be read, or shows nobody, is skipped and listed in ``skipped.csv`` beside the store.
    Each finished video is kept until the store is whole: the same call, made again after a kill, goes on.

    Args:
        videos: a video, a folder of videos (with a folder for each class, or ``manifest.csv``, where there
            are labels), or several of them.
        out: the store to make; an existing one is replaced when the new one is whole.
        options: engine, coordinates, persons, smoothing, tracking.
        gaps: frames in which nobody is seen: keep (as frames without a body), interpolate, drop or refuse.
            Only with keep are the clip's frames those of the video.
        name: name of the data set in the store.
        strict: stop at the first video that gives no clip.
        progress: show a progress bar on stderr.
        workers: how many processes; None takes one per core.

    Returns:
        The store's path, how many clips were written and skipped, and notes.

    Raises:
        InputError: no video, an engine that cannot be made, no video that shows anybody, a store that cannot
            be written. No store is written.

    >>> estimate("nowhere.mp4", "clips.arrow")
    Traceback (most recent call last):
    kinelex.errors.InputError: nowhere.mp4 does not exist: expects a video, or a folder with videos
    """
    options = options or PoseOptions()
    sources = [videos] if isinstance(videos, str | Path) else list(videos)
    if not sources:
        raise InputError("expects a video, or a folder with videos, got none")
    policy = Policy(gaps=gaps, persons=options.persons, name=name)
    return prepare_reader(
        Path(out),
        lambda: PoseReader([Path(source) for source in sources], options, policy),
        strict=strict,
        progress=progress,
        workers=workers,
    )
