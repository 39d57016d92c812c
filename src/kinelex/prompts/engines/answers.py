"""Answers of a server, every one noted at once, so that none is paid twice."""

import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from kinelex.errors import InputError
from kinelex.files.bounded import safe_json
from kinelex.prompts.journal import JsonLines


@dataclass(frozen=True)
class Answer:
    """What a server said about one picture; None where it refused it, after so many requests and tokens."""

    text: str | None
    prompt_tokens: int = 0
    tokens: int = 0
    requests: int = 1


class Answers:
    """Answers by clip and frame, in a file of JSON lines or in memory; of two answers the first counts."""

    def __init__(self, path: Path | None) -> None:
        self.seconds = 0.0  # by the clock, of all runs together
        self._texts: dict[str, dict[int, str | None]] = {}
        self._sum = dict.fromkeys(("requests", "prompt_tokens", "tokens"), 0)
        self._file: JsonLines | None = None
        self._last, self._lock = time.monotonic(), threading.Lock()
        if path is None:
            return
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = JsonLines(path)
            for begin, line in self._file.lines():
                try:
                    note = safe_json(line)
                    key = (note.pop("clip"), note.pop("frame"))
                    self._add(*key, seconds=note.pop("seconds"), answer=Answer(**note))
                except (ValueError, KeyError, TypeError, AttributeError) as error:
                    mend = "cut it off there, or move it away to ask again"
                    raise InputError(f"{path} is damaged after byte {begin}: {mend}") from error
        except OSError as error:
            raise InputError(f"{path} cannot be written, answers are noted there: {error}") from error

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
        """Add an answer; it is in the file before anything else happens."""
        with self._lock:
            now = time.monotonic()
            seconds, self._last = now - self._last, now
            if not self._add(clip, frame, answer, seconds) or self._file is None:
                return
            line = {"clip": clip, "frame": frame, "seconds": round(seconds, 4), **asdict(answer)}
            try:
                self._file.add(line)
            except OSError as error:
                raise InputError(
                    f"an answer cannot be noted in {self._file.path}: {error}; make room and start again"
                ) from error

    def _add(self, clip: str, frame: int, answer: Answer, seconds: float) -> bool:
        frames = self._texts.setdefault(clip, {})
        if frame in frames:
            return False
        frames[frame] = answer.text
        self.seconds += seconds
        for name in self._sum:
            self._sum[name] += getattr(answer, name)
        return True

    def keep(self) -> None:
        """Have what was noted on the disk."""
        if self._file is not None:
            self._file.sync()

    def cost(self) -> dict[str, float]:
        """What all answers took: seconds by the clock, tokens, requests, clips."""
        return {"seconds": self.seconds, **self._sum, "clips": len(self._texts)}
