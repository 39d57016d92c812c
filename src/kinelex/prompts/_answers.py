"""Private machinery of engines that ask a server: every answer noted at once, so that none is paid twice."""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

from kinelex.errors import InputError


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
        self._found: dict[tuple[str, int], Answer] = {}
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
                note = json.loads(line)
                key = (note.pop("clip"), note.pop("frame"))
                seconds = note.pop("seconds")
                answer = Answer(**note)
            except (ValueError, KeyError, TypeError) as error:
                raise InputError(
                    f"{path} is damaged after byte {whole}: cut it off there, or move it away to ask again"
                ) from error
            if key not in self._found:
                self._found[key] = answer
                self.seconds += seconds
            whole += len(line)
        file.truncate(whole)

    def start(self) -> None:
        """Count time from now on."""
        self._last = time.monotonic()

    def __contains__(self, key: tuple[str, int]) -> bool:
        return key in self._found

    def __len__(self) -> int:
        return len(self._found)

    def __getitem__(self, key: tuple[str, int]) -> Answer:
        return self._found[key]

    def note(self, clip: str, frame: int, answer: Answer) -> None:
        """Add an answer; it is in the file before anything else happens.

        Raises:
            InputError: the disk is full.
        """
        if (clip, frame) in self._found:
            return
        now = time.monotonic()
        seconds, self._last = now - self._last, now
        self._found[clip, frame] = answer
        self.seconds += seconds
        if self._file is not None:
            note = {"clip": clip, "frame": frame, "seconds": round(seconds, 4), **asdict(answer)}
            self._write(self._file, json.dumps(note, ensure_ascii=False).encode() + b"\n")

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
        found = self._found.values()
        return {
            "seconds": self.seconds,
            "tokens": sum(a.tokens for a in found),
            "prompt_tokens": sum(a.prompt_tokens for a in found),
            "requests": sum(a.requests for a in found),
            "clips": len({clip for clip, _ in self._found}),
        }
