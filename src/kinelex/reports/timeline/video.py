"""A video with the skeletons, labels and confidences drawn over it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import matplotlib
import numpy as np

from kinelex.data import SkeletonStore
from kinelex.errors import InputError
from kinelex.files.mp4 import write_mp4
from kinelex.files.video import BrokenVideo, VideoFile
from kinelex.inference.events import Event, Timeline
from kinelex.reports.run.style import CLASS_COLOURS
from kinelex.skeleton import SkeletonLayout


def write_video(path: Path, video: Path, store: SkeletonStore, timeline: Timeline) -> int:
    """Write a copy of a video, without sound, with what was found drawn over it.

    Args:
        path: the file to make.
        video: the video.
        store: the skeletons that :func:`kinelex.pose.estimate` made of it.
        timeline: the events in it.

    Returns:
        How many pictures were written.

    Raises:
        InputError: a video that cannot be read, skeletons without places in the picture, or a file that
            cannot be written.
    """
    places = store.image_coordinates(0)
    if places is None:
        places = np.asarray(store.sequence(0)) if store.channels == 2 else None
    if places is None:
        raise InputError(f"{store.path} does not say where in the picture its joints are")
    try:
        with closing(VideoFile(video)) as file:
            return write_mp4(path, _drawn(file, places, store.layout, float(store.fps[0]), timeline))
    except BrokenVideo as error:
        raise InputError(f"{video}: {error}") from error


def _drawn(
    file: VideoFile, places: np.ndarray, layout: SkeletonLayout, fps: float, timeline: Timeline
) -> Iterator[tuple[float, np.ndarray]]:
    for time, picture in file.timed_pictures():
        at = min(round(time * fps), len(places) - 1)
        events = [event for event in timeline.events if event.start <= time < event.end]
        yield time, draw_over(picture, places[at], layout, events)


def draw_over(
    picture: np.ndarray, places: np.ndarray, layout: SkeletonLayout, events: Sequence[Event]
) -> np.ndarray:
    """A picture with skeletons, and above each person what they do and how sure that is.

    Shape:
        - picture: (H, W, 3) uint8; places: (M, V, 2) pixels, absent joints 0
        - returns: (H, W, 3) uint8
    """
    from PIL import Image, ImageDraw, ImageFont

    image = Image.fromarray(picture)
    draw = ImageDraw.Draw(image)
    size = max(12, min(picture.shape[:2]) // 24)
    fonts = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"  # knows most scripts
    font, width = ImageFont.truetype(str(fonts), size), max(2, size // 6)
    corners = {}
    for person, joints in enumerate(places):
        seen = joints.any(axis=1)
        colour = CLASS_COLOURS[person % len(CLASS_COLOURS)]
        for joint, parent in layout.bones:
            if seen[joint] and seen[parent]:
                ends = [*joints[joint].tolist(), *joints[parent].tolist()]
                draw.line(ends, fill="white", width=width + 2)
                draw.line(ends, fill=colour, width=width)
        if seen.any():
            corners[person] = (float(joints[seen, 0].min()), float(joints[seen, 1].min()) - 1.8 * size)
    lines: dict[int | None, int] = {}
    for event in events:
        number = lines[event.person] = lines.get(event.person, -1) + 1
        x, y = corners.get(-1 if event.person is None else event.person, (size / 2, size / 2))
        text = f"{event.label}  {100 * event.confidence:.0f} %"
        left, top, right, bottom = draw.textbbox((0, 0), text, font=font)
        x = min(max(x, size / 4), max(picture.shape[1] - right - size / 2, 0))
        y = min(max(y - 1.5 * size * number, size / 4), picture.shape[0] - 2 * size)
        draw.rectangle((x + left - 4, y + top - 3, x + right + 4, y + bottom + 3), fill="#1d2733")
        draw.text((x, y), text, font=font, fill="white")
    return np.asarray(image)
