"""The verb ``show``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kinelex.cli.shared_options import read_options, shares


@shares(read_options)
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
    device: str = "cpu",
    **told: Any,
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
        device: where the run's encoders compute: cpu, cuda.
    """
    from rich.console import Console

    from kinelex.reports.show import ShowOptions
    from kinelex.reports.show import show as make

    read = read_options(**told)
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
