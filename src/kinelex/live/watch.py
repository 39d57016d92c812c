"""One source that all pages watch: looked at once, whoever looks on."""

from __future__ import annotations

import json
import threading

from kinelex.data import write_jpeg
from kinelex.live.session import MOST_RATE, RESTART, Session
from kinelex.live.source import Source

_WAIT = 5.0  # seconds that a page waits for news
_QUALITY = 80  # of the pictures that pages get


class Watch:
    """A session that is fed from a source, in a thread of its own, also while no page is open.

    Args:
        source: where the pictures come from.
        session: what looks at them.
    """

    def __init__(self, source: Source, session: Session) -> None:
        self.source, self.session = source, session
        self._stopped = threading.Event()
        self._news = threading.Condition()
        self._number = 0
        self._said: tuple[bytes | None, str] = (None, "")
        self._thread = threading.Thread(target=self._look, name="watch", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self.source.start()
        self._thread.start()

    def close(self) -> None:
        """Stop looking, and let go of the engine."""
        self._stopped.set()
        self.source.close()
        self._thread.join(5.0)
        self.session.close()

    def after(self, number: int) -> tuple[int, bytes | None, str]:
        """The answer after one of that number: its number, the picture as JPEG, and what is said of it."""
        with self._news:
            if not self._news.wait_for(lambda: self._number > number, _WAIT):
                return number, None, json.dumps({"error": f"{self.source.shown}: waits for a picture"})
            return self._number, *self._said

    def _look(self) -> None:
        number = rounds = 0
        while not self._stopped.is_set():
            number, picture = self.source.newest(number)
            if picture is None:
                if self.source.trouble is not None:
                    self._tell(None, json.dumps({"error": self.source.trouble}))
                continue
            if rounds != self.source.rounds:
                rounds = self.source.rounds
                self.session.answer(RESTART)
            self._tell(write_jpeg(picture, _QUALITY), self.session.answer(picture))
            self._stopped.wait(1.1 / MOST_RATE)  # no more are looked at than of a page

    def _tell(self, picture: bytes | None, said: str) -> None:
        with self._news:
            self._number, self._said = self._number + 1, (picture, said)
            self._news.notify_all()


class Viewer:
    """A page that watches: each message, whatever it is, asks for the next picture.

    Args:
        watch: what is watched.
    """

    def __init__(self, watch: Watch) -> None:
        self.watch = watch
        self._number = 0

    def reply(self, message: bytes | str | None) -> list[bytes | str]:
        """The next picture, where there is one, and what is said of it."""
        self._number, picture, said = self.watch.after(self._number)
        return [said] if picture is None else [picture, said]

    def close(self) -> None:
        """Others go on watching."""
