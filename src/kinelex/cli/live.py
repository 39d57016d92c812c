"""The verb ``live``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kinelex.cli.events import window_lengths
from kinelex.cli.shared_options import model_options, shares


@shares(model_options)
def live(
    run: Path,
    *settings: str,
    engine: str = "mediapipe",
    persons: int = 1,
    smooth: bool = False,
    windows: str | None = None,
    least: float = 0.5,
    every: float = 0.2,
    host: str = "127.0.0.1",
    port: int = 8765,
    token: str | None = None,
    source: str | None = None,
    **told: Any,
) -> None:
    """Show what a run says of a webcam or a video, live, on a page of this machine.

    Options of the pose engine, the tracking and the smoothing are written SECTION.KEY=VALUE, for example
    pose.model=FILE; kinelex pose --help lists them.

    Args:
        run: the run directory.
        settings: SECTION.KEY=VALUE, options of the engine (pose), of tracking (track) and smoothing (smooth).
        engine: the pose engine that finds the persons.
        persons: how many persons are followed at most.
        smooth: smooth the joints' paths (One Euro filter).
        windows: lengths of the windows that are looked at, seconds, for example 1,2; by default as long as
            the clips that the run, or --examples, has.
        least: probability from which on something is an event.
        every: seconds from one answer of the model to the next.
        host: address to listen on; another than this machine's own needs --token.
        port: port to listen on.
        token: what the page's address has to bring as ?token=, so that others cannot use it.
        source: a camera that this machine has (0, /dev/video0), an address (rtsp://...) or a video file,
            which is read here; by default the page's own webcam or file.
    """
    from rich.console import Console

    from kinelex.inference.load_model import load_model
    from kinelex.live import LiveOptions, serve
    from kinelex.pose import PoseOptions
    from kinelex.pose.registry import read_settings

    notes = Console(stderr=True)
    pose = PoseOptions(engine=engine, persons=persons, **read_settings(settings, engine, smooth))
    options = LiveOptions(pose, window_lengths(windows), every, least, host, port, token, source=source)
    model = load_model(run, model_options(**told), notes)

    def ready(address: str) -> None:
        notes.print(f"open {address} (Ctrl+C ends it)", markup=False, highlight=False, soft_wrap=True)

    serve(model, options, ready)
