"""A camera, a stream or a video file that this machine reads itself: always its newest picture."""

from __future__ import annotations

import contextlib
import itertools
import re
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from kinelex.errors import InputError, without_secrets
from kinelex.files.video import BrokenVideo, need_av, reason, upright

EXPECTED = "a camera (0, /dev/video0), an address (rtsp://...) or a video file"
SIDE = 480  # pixels of the longer side that are looked at
_PATIENCE = 10.0  # seconds without anything, after which a source is broken
_PAUSE = 2.0  # seconds from one attempt to the next


class Source:
    """Pictures of one source, read in a thread of their own from :meth:`start` to :meth:`close`.

    What nobody asks for in time is passed over. A stream that breaks is opened again until it comes; a file
    is played in its own time, again and again.

    Args:
        name: number of a camera (Linux) or its device, an address, or a video file.

    Attributes:
        shown: the name without a password or key.
        trouble: what is wrong while no picture comes.
        rounds: how many times it was opened anew.

    Raises:
        InputError: it cannot be opened, or has no picture.
    """

    def __init__(self, name: str) -> None:
        need_av()
        self.shown = without_secrets(re.sub(r"//[^/]*@", "//", name))
        self.trouble: str | None = None
        self.rounds = 0
        self._place, self._kind = _place(name)
        self._stopped = threading.Event()
        self._come = threading.Condition()
        self._number = 0
        self._picture: np.ndarray | None = None
        self._thread = threading.Thread(target=self._read, name="source", daemon=True)
        try:
            self._first: Iterator[Any] | None = self._open()
        except BrokenVideo as error:
            raise InputError(f"--source {self.shown}: {error}; expects {EXPECTED}") from error

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def close(self) -> None:
        """Stop reading; what the source waits for is given up with the process."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join(1.0)

    def newest(self, after: int, wait: float = 1.0) -> tuple[int, np.ndarray | None]:
        """The number of the newest picture, and the picture; None where there is none that is newer.

        Args:
            after: number of the picture that is known.
            wait: seconds that a newer one is waited for.

        Shape:
            - picture: (H, W, 3) uint8, at most ``SIDE`` pixels a side
        """
        with self._come:
            new = self._come.wait_for(lambda: self._number > after, wait)
            return self._number, self._picture if new else None

    def _read(self) -> None:
        frames = self._first
        while not self._stopped.is_set():
            try:
                self._play(frames or self._open())
                trouble = "" if self._kind == "file" else "it ended"
            except Exception as error:  # whatever comes: the page stays, and it is tried again
                trouble = str(error)
            frames = None
            self.trouble = f"{self.shown}: {trouble}; it is tried again" if trouble else None
            self._stopped.wait(_PAUSE if trouble else 0.02)
            self.rounds += 1

    def _play(self, frames: Iterator[Any]) -> None:
        begun, first = time.monotonic(), None
        for number, frame in enumerate(frames):
            at = number / 25 if frame.time is None else frame.time
            first = at if first is None else first
            if self._kind == "file":
                self._stopped.wait(max(0.0, begun + at - first - time.monotonic()))
            if self._stopped.is_set():
                return
            picture = _small(frame)
            with self._come:
                self._number, self._picture, self.trouble = self._number + 1, picture, None
                self._come.notify_all()

    def _open(self) -> Iterator[Any]:
        """Frames from now on; the first has come."""
        frames = self._frames()
        first = next(frames, None)
        if first is None:
            raise BrokenVideo("has no frames")
        return itertools.chain([first], frames)

    def _frames(self) -> Iterator[Any]:
        import av

        how: dict[str, Any] = {"options": {"rtsp_flags": "prefer_tcp"}} if self._kind == "address" else {}
        how |= {"format": "v4l2"} if self._kind == "camera" else {}
        try:
            with av.open(self._place, timeout=_PATIENCE, **how) as container:
                if not container.streams.video:
                    raise BrokenVideo("has no pictures in it")
                for packet in container.demux(container.streams.video[0]):
                    with contextlib.suppress(av.error.InvalidDataError):  # parts that were lost on the way
                        yield from packet.decode()
        except av.error.ExitError as error:
            raise BrokenVideo(f"nothing came for {_PATIENCE:g} s") from error
        except (av.FFmpegError, OSError, ValueError) as error:
            raise BrokenVideo(f"cannot be read ({reason(error)})") from error


def _place(name: str) -> tuple[str, str]:
    """What is opened, and which kind it is: camera, address or file."""
    if "://" in name:
        return name, "address"
    device = f"/dev/video{name}" if name.isdecimal() else name
    if name.isdecimal() or device.startswith("/dev/video"):
        if not sys.platform.startswith("linux"):
            raise InputError(
                f"--source {name}: cameras are read on Linux only; elsewhere leave --source out and take "
                "the browser's webcam"
            )
        if not Path(device).exists():
            raise InputError(f"--source {name}: there is no camera {device}: expects {EXPECTED}")
        return device, "camera"
    if not Path(name).is_file():
        raise InputError(f"--source {name} does not exist or is no file: expects {EXPECTED}")
    return name, "file"


def _small(frame: Any) -> np.ndarray:
    """A frame, upright, as large as pictures from a browser are."""
    scale = min(1.0, SIDE / max(frame.width, frame.height))
    width, height = (max(16, round(side * scale)) for side in (frame.width, frame.height))
    return upright(frame.to_ndarray(format="rgb24", width=width, height=height), frame.rotation)
