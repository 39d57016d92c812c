"""An OpenAI-compatible server on this machine that answers what it sees, and fails as it is told to."""

from __future__ import annotations

import base64
import io
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
from PIL import Image

Fault = Callable[[int, dict[str, Any]], str]  # of the request's number and body: how to fail, "" for not
Seen = tuple[int, int]  # row and frame


def picture(row: int, frame: int) -> np.ndarray:
    """A picture that says which one it is, through JPEG too."""
    out = np.zeros((24, 32, 3), np.uint8)
    out[..., 0], out[..., 1] = 16 * row + 8, 16 * frame + 8
    return out


class Pictures:
    """Pictures of eight rows by sixteen frames; row 7 has none."""

    def frames(self, row: int, indices: np.ndarray) -> np.ndarray | None:
        return None if row == 7 else np.stack([picture(row, int(i)) for i in indices])


def row_and_frame(pixels: np.ndarray) -> Seen:
    """What :func:`picture` put into a picture."""
    red, green, _ = pixels.mean((0, 1))
    return int(red // 16), int(green // 16)


class AnsweringServer:
    """Answers "row 3 frame 5"; counts what was asked and answered, and how many at a time."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self.asked: Counter[Seen] = Counter()
        self.answered: Counter[Seen] = Counter()
        self.bodies: list[dict[str, Any]] = []
        self.keys: set[str] = set()
        self.times: list[float] = []
        self.busy = self.most = 0
        self.lock = threading.Lock()
        self.url = ""


@contextmanager
def answering_server(
    fault: Fault = lambda number, body: "",
    delay: float = 0.0,
    look: Callable[[np.ndarray], Seen] = row_and_frame,
) -> Iterator[AnsweringServer]:
    """A server that runs while the block does; ``look`` tells which picture it was sent."""
    state = AnsweringServer(fault)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = 1 << 16  # header and body in one packet

        def log_message(self, *args: Any) -> None:
            pass

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            seen = look(_pixels(body))
            with state.lock:
                number = len(state.bodies)
                state.bodies.append(body)
                state.asked[seen] += 1
                state.keys.add(self.headers["Authorization"])
                state.times.append(time.monotonic())
                state.busy += 1
                state.most = max(state.most, state.busy)
            try:
                time.sleep(delay)
                self._answer(state.fault(number, body), seen)
            except OSError:
                pass  # the client was killed or gave up
            finally:
                with state.lock:
                    state.busy -= 1

        def _answer(self, fault: str, seen: Seen) -> None:
            kind, _, rest = fault.partition(" ")
            whole = _completion(f" row {seen[0]} frame {seen[1]} ")
            if kind == "drop":
                self.close_connection = True
                self.connection.close()
            elif kind == "half":  # of what the header promises
                self.close_connection = True
                self._send(200, whole[: len(whole) // 2], {"Content-Length": str(len(whole))})
            elif kind == "cut":  # no JSON, and the header says so
                self._send(200, whole[: len(whole) // 2])
            elif kind == "empty":
                self._send(200, _completion(""))
            elif kind == "slow":
                time.sleep(float(rest))
                self._send(200, _completion("too late"))
            elif kind == "page":
                self._send(200, b"<html>please log in</html>", {}, "text/html")
            elif kind.isdigit():
                headers = {"Retry-After": rest} if kind == "429" and rest else {}
                self._send(int(kind), json.dumps({"error": {"message": rest or "no"}}).encode(), headers)
            else:
                with state.lock:
                    state.answered[seen] += 1
                self._send(200, _completion(None) if kind == "filter" else whole)

        def _send(
            self,
            code: int,
            body: bytes,
            headers: dict[str, str] | None = None,
            kind: str = "application/json",
        ) -> None:
            self.send_response(code)
            usual = {"Content-Type": kind, "Content-Length": str(len(body))}
            for name, value in {**usual, **(headers or {})}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 64

        def handle_error(self, *args: Any) -> None:
            pass

    server = Quiet(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _pixels(body: dict[str, Any]) -> np.ndarray:
    """The picture that came, (H, W, 3)."""
    url = next(p for p in body["messages"][0]["content"] if p["type"] == "image_url")["image_url"]["url"]
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))), float)


def _completion(text: str | None) -> bytes:
    choice = {
        "index": 0,
        "finish_reason": "content_filter" if text is None else "stop",
        "message": {"role": "assistant", "content": text},
    }
    used = {"prompt_tokens": 100, "completion_tokens": 4, "total_tokens": 104}
    made = {"id": "x", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice]}
    return json.dumps({**made, "usage": used}).encode()
