"""The verb ``pose``: its arguments, and a help that lists engines and their options."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from kinelex.options import shown_default, wrapped


def pose(
    videos: list[Path],
    *options: str,
    out: Path,
    engine: str = "mediapipe",
    coordinates: str | None = None,
    persons: int = 2,
    rate: float | None = None,
    least: float | None = None,
    smooth: bool = False,
    gaps: str = "keep",
    name: str | None = None,
    strict: bool = False,
    workers: int | None = None,
) -> dict[str, Any]:
    """Find the persons in videos, and write a skeleton store. A killed run goes on where it stopped.

    Folders give labels as CLASS/clip.mp4 or by manifest.csv. Options of the engine, the tracking and the
    smoothing are written SECTION.KEY=VALUE, for example pose.model=FILE; they are listed below.

    Args:
        videos: videos, and folders with videos.
        options: SECTION.KEY=VALUE, options of the engine (pose), of tracking (track) and smoothing (smooth).
        out: the store to make.
        engine: what finds the persons, by a name below.
        coordinates: world (3-D, metres, the origin between each person's hips) or image (2-D, pixels); by
            default world where the engine has it.
        persons: how many persons are followed at most.
        rate: frames per second that are looked at; by default all.
        least: joints with a lower score, 0 to 1, are absent; by default what suits the engine.
        smooth: smooth the joints' paths (One Euro filter).
        gaps: frames in which nobody is seen: keep (as frames without a body), interpolate, drop or refuse.
        name: name of the data set in the store; by default videos.
        strict: stop at the first video that gives no clip, instead of skipping it.
        workers: how many processes; by default one per core.
    """
    from kinelex.pose import PoseOptions, estimate
    from kinelex.pose.registry import read_settings

    settings = PoseOptions(
        engine=engine,
        coordinates=coordinates,
        persons=persons,
        rate=rate,
        least=least,
        **read_settings(options, engine, smooth),
    )
    summary = estimate(videos, out, settings, gaps=gaps, name=name, strict=strict, workers=workers)
    print("\n".join([str(summary), *(f"note: {note}" for note in summary.notes)]))
    return asdict(summary)


def engines_help() -> str:
    """Engines, what they are, and the options of all sections, for the end of the help."""
    from kinelex.options import option_texts
    from kinelex.pose.registry import SETTINGS, engine_names, engine_options, engine_title

    lines = ["--engine, with options as pose.KEY=VALUE:"]
    for name in engine_names():
        lines += wrapped(f"{name:20}{engine_title(name)}", 2, 22)
        lines += _rows(engine_options(name))
    for section, (kind, what) in SETTINGS.items():
        lines += [f"{what}, with options as {section}.KEY=VALUE:", *_rows(option_texts(kind))]
    return "\n".join(lines)


def _rows(options: dict[str, Any]) -> list[str]:
    rows = []
    for key, (spelled, default, text) in options.items():
        rows += wrapped(f"{key}={spelled}  {text.rstrip('.')}{shown_default(default)}", 22, 24)
    return rows
