"""The verb ``convert``."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def convert(
    checkpoint: Path,
    *,
    from_: str,
    out: Path,
    layout: str = "ntu25",
    classes: Path | None = None,
    stream: str | None = None,
    center: str | None = None,
) -> dict[str, Any]:
    """Turn a published checkpoint into a run that evaluate takes.

    Weights alone are read from the file, no code in it is run.

    Args:
        checkpoint: the file, for example checkpoint_0450.pth.tar.
        from_: which publication's: cmd, ctrgcn, mmcl, hdgcn, msg3d, or pyskl (the ST-GCN, ST-GCN++, AAGCN and
            CTR-GCN of its zoo).
        out: the run directory to make.
        layout: the skeleton layout that it was trained on: ntu25, or kinect20 for N-UCLA.
        classes: names of the classes (not of cmd), one per line, or a store of the data set; by default 60
            and 120 are those of NTU RGB+D, others are numbered.
        stream: what a classifier was trained on: joint (the default), bone, motion or bone_motion.
        center: joint in the centre of hdgcn's hierarchy: shoulder_center (the default), spine or pelvis.
    """
    from kinelex.cli.describe import describe
    from kinelex.training.convert import convert as convert_checkpoint

    run = convert_checkpoint(checkpoint, from_, out, layout, classes, stream, center)
    description, _ = describe(run.path)
    sizes = ", ".join(f"{k} {v}" for k, v in description["encoder"].items() if k != "bidirectional")
    print(f"run directory: {run.path} (streams {', '.join(description['streams'])}; {sizes})")
    print(f"judge it with: kinelex evaluate {run.path} --data STORE --protocol P")
    return description
