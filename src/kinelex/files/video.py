"""Pictures out of one video file, in one pass forward, no frame decoded twice.

All packets are listed first: so the number of frames is known, and where decoding can begin. Then packets
from which no wanted picture depends are read and passed over. Where a file's time stamps do not tell the
order of its pictures (H.264 in .avi), every frame from the beginning is decoded and counted instead.
:meth:`VideoFile.timed_pictures` gives all frames with their times.
"""

from collections import deque
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from kinelex.errors import InputError

WHOLE = 0.95  # a file with a smaller share of the frames that its header promises is truncated


class BrokenVideo(Exception):
    """A video that cannot be read, or not to the frame that is wanted; its text is the reason."""


def need_av() -> None:
    """Complain if PyAV is not installed."""
    if find_spec("av") is None:
        raise InputError("videos are read with the package av: pip install 'kinelex[pose]'")


def _decode(context: Any, packet: Any) -> list[Any]:
    """All decoding goes through here: the frames that come out when a packet goes in (None: the end)."""
    return list(context.decode(packet))


class VideoFile:
    """One video, opened: it has so many ``frames``, of which the decoder has put out ``decoded`` so far."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.decoded = 0
        self._container: Any = None
        self._list_packets()
        self._begin()

    def _open(self) -> Any:
        import av

        self.close()
        try:
            self._container = av.open(str(self.path))
        except (av.FFmpegError, OSError) as error:
            raise BrokenVideo(f"cannot be read as a video ({reason(error)})") from error
        if not self._container.streams.video:
            raise BrokenVideo("has no pictures in it")
        return self._container.streams.video[0]

    def _list_packets(self) -> None:
        """Find out how many frames there are, in which order, and where decoding can begin."""
        import av

        stream = self._open()
        try:
            usable = (p for p in self._container.demux(stream) if not p.is_discard and not p.is_corrupt)
            packets = [(p.pts, p.is_keyframe) for p in usable if p.size]
        except av.FFmpegError as error:
            raise BrokenVideo(f"cannot be read to its end ({reason(error)})") from error
        if len(packets) < WHOLE * stream.frames:
            raise BrokenVideo(f"is truncated: {len(packets)} of {stream.frames} frames are there")
        if not packets:
            raise BrokenVideo("has no frames")
        self.frames = max(len(packets), stream.frames)
        times = [time for time, _ in packets]
        ordered = None not in times and len(set(times)) == len(times)
        # Where pictures are stored in another order than they are shown, times that only rise were made up.
        self._timed = ordered and not (stream.codec_context.has_b_frames and times == sorted(times))
        self._times = sorted(times) if self._timed else []
        self._second = float(stream.time_base or 0)  # of a unit of the times
        if ordered and not stream.frames:
            self._check_end(sorted(times))
        self._rate = float(stream.average_rate or stream.guessed_rate or 0)
        self._starts = [(time, at) for at, (time, is_key) in enumerate(packets) if is_key and self._timed]

    def _check_end(self, times: list[int]) -> None:
        """Complain about a container without a count that ends long before the duration that it promises.

        The last frame may be shown as long as any other; sound may last longer than the pictures.
        """
        if self._container.duration is None or self._container.streams.audio:
            return
        widest = max(np.diff(times), default=0)
        there, promised = float(times[-1] + widest) * self._second, self._container.duration / 1e6
        if there < WHOLE * promised:
            raise BrokenVideo(f"is truncated: {there:.1f} of {promised:.1f} seconds are there")

    def _begin(self) -> None:
        stream = self._open()
        stream.thread_type = "AUTO"
        self._context = stream.codec_context
        self._packets = (p for p in self._container.demux(stream) if not p.is_discard and not p.is_corrupt)
        self._at = 0  # the packet that is read next
        self._shown = -1  # frames counted so far
        self._last: Any = None  # the last frame that was given out
        self._ready: deque[Any] = deque()
        self._ended = False

    def close(self) -> None:
        """Close the file."""
        if self._container is not None:
            self._container.close()
            self._container = None

    def pictures(self, wanted: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
        """The wanted frames with their pictures, each number (from 0) once, in rising order.

        Frames after the last one called for earlier are decoded going on from there.

        Shape:
            - yields: number, (H, W, 3) uint8, upright as a player shows it
        """
        size: dict[str, int] = {}
        for number in sorted(set(wanted.tolist())):
            frame = self._timed_frame(number) if self._timed else self._counted_frame(number)
            if frame is None:
                raise BrokenVideo(f"is damaged: frame {number} of {self.frames} does not come")
            size = size or {"width": frame.width, "height": frame.height}
            yield number, upright(frame.to_ndarray(format="rgb24", **size), frame.rotation)

    def timed_pictures(self) -> Iterator[tuple[float, np.ndarray]]:
        """All frames in the order in which they are shown, each with its time in seconds from the first one.

        Where the file has no times, they are those of its rate.

        Shape:
            - yields: seconds, (H, W, 3) uint8, upright as a player shows it
        """
        self._begin()
        if not self._timed and not self._rate:
            raise BrokenVideo("has neither time stamps nor a rate")
        first: int | None = None
        shown, size = 0, dict[str, int]()
        for frame in self._shown_frames():
            size = size or {"width": frame.width, "height": frame.height}
            first = frame.pts if first is None else first
            time = (frame.pts - first) * self._second if self._timed else shown / self._rate
            yield time, upright(frame.to_ndarray(format="rgb24", **size), frame.rotation)
            shown += 1
        if shown < WHOLE * self.frames:
            raise BrokenVideo(f"is damaged: {shown} of {self.frames} frames come")

    def _timed_frame(self, number: int) -> Any:
        """The frame of a number by its time stamp, past the end the last one; None if it does not come."""
        time = self._times[min(number, len(self._times) - 1)]
        if self._last is not None and self._last.pts == time:
            return self._last
        if self._last is not None and time < self._last.pts:
            self._begin()
        self._pass_over(max((at for begin, at in self._starts if begin <= time), default=0), time)
        for frame in self._shown_frames():
            if frame.pts is not None and frame.pts >= time:
                self._last = frame
                return frame if frame.pts == time else None
        return None

    def _pass_over(self, start: int, time: int) -> None:
        """Go to the packet from which decoding must begin, unless decoding is on the way there."""
        if start <= self._at or any(f.pts is not None and f.pts >= time for f in self._ready):
            return
        if self._at:
            self._context.flush_buffers()
            self._ready.clear()
        while self._at < start:
            self._at += next(self._packets).size > 0

    def _counted_frame(self, number: int) -> Any:
        """The frame of a number by counting from the beginning, past the end the last one; None too early.

        A header may count frames that were dropped when the video was recorded.
        """
        if number < self._shown:
            self._begin()
        if number > self._shown:
            for frame in self._shown_frames():
                self._shown, self._last = self._shown + 1, frame
                if self._shown == number:
                    break
        return self._last if self._shown >= min(number, WHOLE * self.frames - 1) else None

    def _shown_frames(self) -> Iterator[Any]:
        """Frames in the order in which they are shown, from where the file stands."""
        import av

        while True:
            while self._ready:
                yield self._ready.popleft()
            if self._ended:
                return
            packet = next(self._packets, None)
            self._ended = packet is None or not packet.size
            self._at += not self._ended
            try:
                frames = _decode(self._context, None if self._ended else packet)
            except av.FFmpegError as error:
                raise BrokenVideo(f"is damaged at packet {self._at} ({reason(error)})") from error
            self.decoded += len(frames)
            self._ready.extend(frames)


def upright(picture: np.ndarray, degrees: int) -> np.ndarray:
    """A picture turned as a player shows it; ``degrees`` is the frame's rotation."""
    return np.rot90(picture, round(degrees / 90) % 4) if degrees else picture


def reason(error: BaseException) -> str:
    """What the system says of an error, in a few words."""
    return str(getattr(error, "strerror", None) or error)
