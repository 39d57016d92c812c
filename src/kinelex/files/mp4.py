"""Pictures into an MP4 file, one by one."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from kinelex.errors import InputError
from kinelex.files.atomic import whole_file
from kinelex.files.video import need_av

_CODECS = ("libx264", "libopenh264", "mpeg4")  # the first that this build of PyAV has
_TICKS = 90_000  # a second


def write_mp4(path: Path, pictures: Iterable[tuple[float, np.ndarray]]) -> int:
    """Write pictures, each shown at its time; the file appears when it is whole.

    Args:
        path: the file.
        pictures: seconds, rising, and pictures of one size; an odd last row or column is left out.

    Returns:
        How many pictures were written.

    Shape:
        - pictures: (H, W, 3) uint8 each

    Raises:
        InputError: no picture, no package ``av``, or a place that cannot be written.
    """
    need_av()
    import av

    count = 0
    try:
        with whole_file(path) as file, av.open(file, "w", format="mp4") as container:
            codec = next(name for name in _CODECS if name in av.codecs_available)
            stream: Any = container.add_stream(codec, rate=Fraction(30))
            for time, picture in pictures:
                even = np.ascontiguousarray(picture[: len(picture) // 2 * 2, : picture.shape[1] // 2 * 2])
                if count == 0:
                    stream.height, stream.width, stream.pix_fmt = *even.shape[:2], "yuv420p"
                    stream.codec_context.time_base = Fraction(1, _TICKS)
                frame = av.VideoFrame.from_ndarray(even, format="rgb24")
                frame.pts, frame.time_base = round(time * _TICKS), Fraction(1, _TICKS)
                container.mux(stream.encode(frame))
                count += 1
            if not count:
                raise InputError(f"{path}: no picture to write")
            container.mux(stream.encode(None))
    except (OSError, av.FFmpegError) as error:
        raise InputError(f"{path} cannot be written: {error}") from error
    return count
