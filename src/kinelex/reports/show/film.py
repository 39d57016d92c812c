"""Clips as an animated GIF or an MP4 video."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib
import numpy as np

from kinelex.errors import InputError
from kinelex.files.atomic import check_target, spare_stores, write_whole
from kinelex.files.mp4 import write_mp4
from kinelex.reports.page.player import around_middle
from kinelex.reports.page.view import SIDE_COLOURS, front_view, side_of
from kinelex.reports.show.clips import Shown
from kinelex.skeleton import SkeletonLayout

if TYPE_CHECKING:
    from PIL.Image import Image

ENDINGS = (".gif", ".mp4")
USUAL_RATE = 30.0  # frames per second of clips that do not say it
_SIDE, _FINE = 480, 2  # of a picture in pixels; drawn so many times larger, for smooth lines
_GIF_RATE = 25  # viewers show no more


def write_film(shown: Sequence[Shown], path: str | Path) -> Path:
    """Write clips one after another as ``.gif`` or ``.mp4``, at their own speed.

    Args:
        shown: the clips; the answer of a prediction stands below its clip.
        path: the file.

    Raises:
        InputError: another ending, no PyAV for ``.mp4``, or a file that cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() not in ENDINGS:
        raise InputError(f"{path}: expects a name that ends in .html, {' or '.join(ENDINGS)}")
    check_target(path)
    spare_stores(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix.lower() == ".gif":
            write_whole(path, _gif(shown))
        else:
            write_mp4(path, _timed(shown))
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}") from error
    return path


def _gif(shown: Sequence[Shown]) -> bytes:
    pictures, durations = [], []
    for one in shown:
        rate = one.clip.fps or USUAL_RATE
        step = max(1, round(rate / _GIF_RATE))
        for picture in drawn_frames(one, step):
            pictures.append(picture.quantize(32))
            durations.append(max(20, round(100 * step / rate) * 10))  # GIF counts hundredths of a second
    file = io.BytesIO()
    more = {"append_images": pictures[1:], "save_all": True, "duration": durations, "loop": 0}
    pictures[0].save(file, "GIF", **more)
    return file.getvalue()


def _timed(shown: Sequence[Shown]) -> Iterator[tuple[float, np.ndarray]]:
    """All pictures, each with the second at which it is shown."""
    time = 0.0
    for one in shown:
        for picture in drawn_frames(one):
            yield time, np.asarray(picture)
            time += 1 / (one.clip.fps or USUAL_RATE)


def drawn_frames(one: Shown, step: int = 1) -> Iterator[Image]:
    """Every n-th frame of a clip as a picture, seen as the player opens it, with its name below."""
    from PIL import Image, ImageDraw, ImageFont

    clip, side = one.clip, _SIDE * _FINE
    seen: np.ndarray = (clip.coordinates != 0).any(axis=3)
    around, sizes = around_middle(front_view(clip.coordinates, clip.layout), seen)
    scale = 0.42 * side / max(sizes["across"], sizes["down"])
    places = around[..., :2] * scale + [0.5 * side, 0.47 * side]
    fonts = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"  # knows most scripts
    font = ImageFont.truetype(str(fonts), 20 * _FINE)
    text = clip.id if clip.label is None else f"{clip.label}   {clip.id}"
    if one.prediction is not None:
        text += f"\n{one.prediction.answer}, {100 * one.prediction.probability:.0f} %"
    for frame in range(0, len(places), step):
        picture = Image.new("RGB", (side, side), "white")
        pen = ImageDraw.Draw(picture)
        for person in range(clip.coordinates.shape[1]):
            _draw_person(pen, places[frame, person], seen[frame, person], clip.layout)
        pen.multiline_text((12 * _FINE, side - 58 * _FINE), text, "#1d2733", font)
        yield picture.reduce(_FINE)


def _draw_person(pen: Any, places: np.ndarray, seen: np.ndarray, layout: SkeletonLayout) -> None:
    width = 4 * _FINE
    for joint, parent in layout.bones:
        if seen[joint] and seen[parent]:
            line = [tuple(places[joint]), tuple(places[parent])]
            pen.line(line, SIDE_COLOURS[side_of(layout.joints[joint])], width)
    for joint in np.flatnonzero(seen).tolist():
        size = width * (2 if layout.joints[joint] == "head" else 0.7)
        pen.circle(tuple(places[joint]), size, SIDE_COLOURS["torso"])
