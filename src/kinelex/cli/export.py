"""The verb ``export``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any


def export(
    run: Path,
    *,
    out: Path,
    to: str = "onnx",
    features: bool = False,
    layout: str | None = None,
    int8: bool = False,
    examples: Path | None = None,
    head: str = "knn",
    classes: str | None = None,
    data: Path | None = None,
    prompts: Path | None = None,
    holdout: Path | None = None,
) -> dict[str, Any]:
    """Write a run as one file, from raw frames to what predict says of them, that needs no kinelex.

    It is compared with the run on clips of several lengths, and written if they agree.

    Args:
        run: the run directory.
        out: the file to make.
        to: onnx, which kinelex.runtime reads without torch, or torch (a .pt2 of torch.export).
        features: give features alone, and no classes.
        layout: the layout of the clips that the file will read; by default that of the run.
        int8: the encoders' weights in 8 bits, of ONNX: a smaller file, for some encoders a faster one, whose
            answers differ a little; how much is said. It needs the store that the run was trained on.
        examples: a folder CLASS/clip.npy, or a store with labels: tell these classes.
        head: how classes are told by examples: knn (the nearest), linear (a logistic regression).
        classes: tell classes given as words, for example "waving, kicking"; for runs of C2VL with texts.
        data: the store that the run was trained on, where it is at another place now.
        prompts: the prompts of the run, for --classes, where they are at another place now.
        holdout: a run of the same recipe on a fold of the training part, as in predict.
    """
    from rich.console import Console
    from rich.table import Table

    from kinelex.inference.export import export as write

    options = {"examples": examples, "classes": classes, "data": data, "prompts": prompts, "holdout": holdout}
    given = {name: value for name, value in options.items() if value is not None}
    made = write(run, out, to, features=features, layout=layout, int8=int8, head=head, **given)
    table = Table(title="largest difference from the run", title_justify="left")
    for name in made.differences[0]:
        table.add_column(name, justify="right")
    for row in made.differences:
        table.add_row(*(f"{value:.1e}" if isinstance(value, float) else str(value) for value in row.values()))
    Console().print(table)
    if made.int8 is not None:
        Console().print(_said(made.int8), markup=False, soft_wrap=True)
    Console().print(f"{made.to}: {made.path}, {made.facts()['size']}", markup=False, soft_wrap=True)
    return {**asdict(made), "path": str(made.path)}


def _said(int8: dict[str, Any]) -> str:
    """What weights in 8 bits changed, in a line."""
    size = " instead of ".join(f"{value / 1e6:.1f}" for value in reversed(int8["bytes"]))
    times = " instead of ".join(f"{value:.1f}" for value in reversed(int8["ms"]))
    same = "" if int8["same_label"] is None else f"{100 * int8['same_label']:.1f} % get the same label, "
    return (
        f"int8: of {int8['clips']} training clips {same}the lowest cosine of features is "
        f"{int8['cosine']:.3f}; {size} MB, {times} ms a clip on one core"
    )
