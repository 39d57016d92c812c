"""Private machinery of engines that ask a server: every answer noted at once, so that none is paid twice."""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

from kinelex.errors import InputError
from kinelex.files.bounded import safe_json


@dataclass(frozen=True)
class Answer:
    """What a server said about one picture.

    Args:
        text: the answer; None where the server refused the picture.
        prompt_tokens: tokens it read.
        tokens: tokens it wrote.
        requests: requests that this took, repeated ones included.
    """

    text: str | None
    prompt_tokens: int = 0
    tokens: int = 0
    requests: int = 1


class Answers:
    """Answers by clip and frame, in a file of JSON lines that is only ever added to.

    A line that a kill tore is cut off when the file is opened again; of two answers the first counts.

    Args:
        path: the file; None keeps the answers in memory only.

    Raises:
        InputError: the file cannot be read or written.
    """

    def __init__(self, path: Path | None) -> None:
        self.seconds = 0.0  # by the clock, of all runs together
        self._texts: dict[str, dict[int, str | None]] = {}
        self._sum = dict.fromkeys(("requests", "prompt_tokens", "tokens"), 0)
        self._file: BinaryIO | None = None
        self._last = time.monotonic()
        if path is None:
            return
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("a+b")
            self._read(self._file, path)
        except OSError as error:
            raise InputError(f"{path} cannot be written, answers are noted there: {error}") from error

    def _read(self, file: BinaryIO, path: Path) -> None:
        file.seek(0)
        whole = 0
        for line in file:
            if not line.endswith(b"\n"):
                break
            try:
                note = safe_json(line)
                key = (note.pop("clip"), note.pop("frame"))
                seconds = note.pop("seconds")
                answer = Answer(**note)
            except (ValueError, KeyError, TypeError) as error:
                raise InputError(
                    f"{path} is damaged after byte {whole}: cut it off there, or move it away to ask again"
                ) from error
            self._add(*key, answer, seconds)
            whole += len(line)
        file.truncate(whole)

    def start(self) -> None:
        """Count time from now on."""
        self._last = time.monotonic()

    def of(self, clip: str) -> dict[int, str | None]:
        """The answers about a clip by frame; None where the server refused."""
        return self._texts.get(clip, {})

    def __len__(self) -> int:
        """Number of clips of which something was said."""
        return len(self._texts)

    def note(self, clip: str, frame: int, answer: Answer) -> None:
        """Add an answer; it is in the file before anything else happens.

        Raises:
            InputError: the disk is full.
        """
        now = time.monotonic()
        seconds, self._last = now - self._last, now
        if self._add(clip, frame, answer, seconds) and self._file is not None:
            note = {"clip": clip, "frame": frame, "seconds": round(seconds, 4), **asdict(answer)}
            self._write(self._file, json.dumps(note, ensure_ascii=False).encode() + b"\n")

    def _add(self, clip: str, frame: int, answer: Answer, seconds: float) -> bool:
        frames = self._texts.setdefault(clip, {})
        if frame in frames:
            return False
        frames[frame] = answer.text
        self.seconds += seconds
        for name in self._sum:
            self._sum[name] += getattr(answer, name)
        return True

    def _write(self, file: BinaryIO, line: bytes) -> None:
        try:
            file.write(line)
            file.flush()
        except OSError as error:
            raise InputError(
                f"an answer cannot be noted in {file.name}: {error}; make room and start again"
            ) from error

    def keep(self) -> None:
        """Have what was noted on the disk, as against a failure of power."""
        if self._file is not None:
            os.fsync(self._file.fileno())

    def cost(self) -> dict[str, float]:
        """What all answers took: seconds by the clock, tokens, requests, clips."""
        return {"seconds": self.seconds, **self._sum, "clips": len(self._texts)}
