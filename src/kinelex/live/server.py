"""The server of ``kinelex live``: one page, and a WebSocket on which it sends pictures."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from kinelex import __version__
from kinelex.errors import InputError
from kinelex.inference.events import EventOptions
from kinelex.inference.model import Model
from kinelex.inference.stream import StreamModel
from kinelex.inference.usual_windows import usual_windows
from kinelex.live.guard import Guard
from kinelex.live.session import MOST_BYTES, MOST_RATE, Session, check_layout
from kinelex.live.source import SIDE, Source
from kinelex.live.watch import Viewer, Watch
from kinelex.pose import PoseOptions, PoseStream
from kinelex.reports.page.templates import template

if TYPE_CHECKING:
    from starlette.applications import Starlette

TOO_BIG, BUSY, FORBIDDEN = 1009, 1013, 1008  # close codes of WebSockets (RFC 6455)


@dataclass(frozen=True)
class LiveOptions:
    """How a model is shown live.

    Args:
        pose: what finds the persons.
        windows: lengths of the windows, seconds; by default as long as the clips that the model knows.
        every: seconds from one answer of the model to the next.
        least: probability with which an event begins.
        host: address to listen on; another than this machine's own needs a token.
        port: its port.
        token: what the address of the page has to bring as ``?token=``.
        pages: how many pages may be at work at once.
        source: a camera, an address or a video file that this machine reads; None takes what pages send.

    Raises:
        InputError: a value out of range, or an address that others reach without a token.
    """

    pose: PoseOptions = field(default_factory=lambda: PoseOptions(persons=1))
    windows: tuple[float, ...] | None = None
    every: float = 0.2
    least: float = 0.5
    host: str = "127.0.0.1"
    port: int = 8765
    token: str | None = None
    pages: int = 2
    source: str | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.port <= 65535:
            raise InputError(f"--port {self.port}: expects 1 to 65535")
        if not 0 < self.every <= 60:
            raise InputError(f"--every {self.every}: expects seconds above 0, at most 60")
        if self.pages < 1:
            raise InputError(f"expects 1 page or more at work, got {self.pages}")
        EventOptions(self.windows, self.least)
        self.guard()

    def guard(self) -> Guard:
        """The checks of requests."""
        return Guard(self.host, self.port, self.token)


def live_app(model: Model, options: LiveOptions) -> Starlette:
    """The application: ``/`` is the page, ``/stream`` takes its pictures.

    Raises:
        InputError: the extra ``live`` is not installed, no pose engine, joints that the run cannot read, or
            a source that cannot be opened.
    """
    try:
        from starlette.applications import Starlette
        from starlette.routing import Route, WebSocketRoute
    except ImportError as error:
        raise InputError("the live page needs starlette and uvicorn: pip install 'kinelex[live]'") from error
    windows = tuple(options.windows or usual_windows(model)[0])

    def session() -> Session:
        pose = PoseStream(options.pose)
        persons = options.pose.persons
        stream = StreamModel(model, pose.engine.layout, persons, windows, options.every, options.least)
        return Session(pose, stream)

    source = None if options.source is None else Source(options.source)
    with contextlib.closing(session()) as first:
        check_layout(first.model)
        bones = [list(bone) for bone in first.model.layout.bones]
    watch = None if source is None else Watch(source, session())
    page = template("kinelex.live", "page.html.j2")
    guard = options.guard()
    shown = {"about": model.by, "run": Path(model.run).name, "bones": bones, "windows": windows, "side": SIDE}
    shown["source"] = None if source is None else source.shown
    at_page = session if watch is None else lambda: Viewer(watch)
    return Starlette(
        routes=[
            Route("/", _page(guard, lambda nonce: page.render(version=__version__, nonce=nonce, **shown))),
            WebSocketRoute("/stream", _stream(guard, at_page, options.pages)),
        ],
        lifespan=_lifespan(watch),
    )


def _lifespan(watch: Watch | None) -> Callable[[Any], Any]:
    """Watch as long as the server runs."""

    @contextlib.asynccontextmanager
    async def lifespan(_: Any) -> AsyncIterator[None]:
        if watch is not None:
            watch.start()
        yield
        if watch is not None:
            watch.close()

    return lifespan


def _page(guard: Guard, render: Callable[[str], str]) -> Callable[..., Any]:
    from starlette.requests import Request
    from starlette.responses import HTMLResponse, PlainTextResponse, Response

    async def page(request: Request) -> Response:
        refusal = guard.refusal(request.headers, request.query_params, page=True)
        if refusal is not None:
            return PlainTextResponse(refusal, status_code=403)
        nonce = secrets.token_urlsafe(16)
        allowed = (
            f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'unsafe-inline'; connect-src 'self'; "
            "media-src blob:; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )
        headers = {
            "Content-Security-Policy": allowed,
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
            "Cache-Control": "no-store",
        }
        return HTMLResponse(render(nonce), headers=headers)

    return page


def _stream(guard: Guard, session: Callable[[], Session | Viewer], pages: int) -> Callable[..., Any]:
    from starlette.concurrency import run_in_threadpool
    from starlette.websockets import WebSocket, WebSocketDisconnect

    at_work: set[WebSocket] = set()

    async def stream(socket: WebSocket) -> None:
        if guard.refusal(socket.headers, socket.query_params, page=False) is not None:
            await socket.close(FORBIDDEN)  # before it is accepted: the browser sees a 403
            return
        await socket.accept()
        if len(at_work) >= pages:
            await socket.close(BUSY, f"{pages} pages are at work already")
            return
        at_work.add(socket)
        own: Session | Viewer | None = None
        try:
            own = await run_in_threadpool(session)
            while True:
                message = await socket.receive()
                if message["type"] == "websocket.disconnect":
                    return
                content = message.get("bytes")
                content = message.get("text") if content is None else content
                if content is not None and len(content) > 4 * MOST_BYTES:
                    await socket.close(TOO_BIG)
                    return
                for said in await run_in_threadpool(own.reply, content):
                    await (socket.send_text(said) if isinstance(said, str) else socket.send_bytes(said))
        except WebSocketDisconnect:
            return
        finally:
            at_work.discard(socket)
            if own is not None:
                await run_in_threadpool(own.close)

    return stream


def serve(model: Model, options: LiveOptions, ready: Callable[[str], None] = print) -> None:
    """Run the server until it is stopped (Ctrl+C).

    Args:
        model: the model.
        options: how it is shown.
        ready: told the page's address when the model is ready.

    Raises:
        InputError: as :func:`live_app`, or a port that is taken.
    """
    app = live_app(model, options)
    import uvicorn

    host = f"[{options.host}]" if ":" in options.host else options.host
    query = f"/?{urlencode({'token': options.token})}" if options.token else "/"
    _check_free(options)
    ready(f"http://{host}:{options.port}{query}")
    uvicorn.run(
        app,
        host=options.host,
        port=options.port,
        log_level="warning",
        access_log=False,  # addresses have tokens in them
        ws_max_size=MOST_BYTES,
        ws_max_queue=MOST_RATE,
        limit_concurrency=64,
        timeout_graceful_shutdown=2,
        server_header=False,
    )


def _check_free(options: LiveOptions) -> None:
    import socket

    family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((options.host, options.port))
        except OSError as error:
            where = f"{options.host}:{options.port}"
            raise InputError(f"cannot listen on {where} ({error.strerror}): pass another --port") from error
