"""The verb ``show``."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def show(
    source: Path,
    *,
    out: Path,
    clips: str | None = None,
    most: int | None = None,
    run: Path | None = None,
    prompts: Path | None = None,
    data: Path | None = None,
    top: int = 3,
    layout: str | None = None,
    fps: float | None = None,
    axes: str | None = None,
    units: str | None = None,
    channels: str | None = None,
    reader: str | None = None,
    device: str = "cpu",
) -> dict[str, Any]:
    """Show clips to play, turn and step through: one self-contained page, or a GIF or MP4.

    Of a run it shows test clips with the run's predictions, and with its prompts where they are still there.

    Args:
        source: a skeleton store, a run directory, a video, a clip of any format that prepare reads, or a
            folder of clips.
        out: the file: .html for the page; .gif or .mp4 for one clip, or all that are asked for.
        clips: names of clips or of classes, with commas; by default some clips, spread over the classes.
        most: how many clips at most (by default 12, or all that are asked for by name).
        run: also show of which class this run says the clips are.
        prompts: also show the texts and pictures of this prompt store.
        data: the store that the run was trained on, where it is at another place now.
        top: how many classes are shown of a prediction.
        layout: the layout of raw clips: a built-in name or a YAML file; by default what the files tell.
        fps: frames per second of raw clips whose files do not say it.
        axes: order of the axes of arrays where it is another, for example CTVM.
        units: unit of raw clips: centimetres, millimetres, inches and feet become metres.
        channels: what the numbers of a joint are: xy, xyz, xyc, xyzc (c is a confidence).
        reader: the data set of prepare whose raw files these are, for example utd_mhad.
        device: where the run's encoders compute: cpu, cuda.
    """
    from rich.console import Console

    from kinelex.datasets.single import ReadOptions
    from kinelex.reports.show import ShowOptions
    from kinelex.reports.show import show as make

    read = ReadOptions(layout, fps, axes, units, channels, reader)
    notes = Console(stderr=True)
    page = make(source, out, ShowOptions(clips or (), most, run, prompts, data, top, device, read), notes)
    for note in page.notes:
        notes.print(note, markup=False, soft_wrap=True)
    print(f"{len(page.clips)} clip{'s' * (len(page.clips) != 1)} in {out}")
    return {
        "out": str(out),
        "clips": [
            {
                "id": one.clip.id,
                "label": one.clip.label,
                "frames": len(one.clip.coordinates),
                "persons": one.clip.coordinates.shape[1],
                "fps": one.clip.fps,
                **({} if one.prediction is None else {"prediction": one.prediction.numbers(top)}),
            }
            for one in page.clips
        ],
        "notes": page.notes,
    }
