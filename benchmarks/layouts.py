"""What an encoder says of the same clips in other layouts, and with joints removed.

    python benchmarks/layouts.py RUN STORE --protocol P --clips 300 --csv layouts.csv

Clips of the test part are retargeted to other layouts and given to the run, which brings them to the
layout that it was trained on. Printed for each: the mean cosine (and the lowest twentieth) between the
features of a clip and those of the same clip with all joints of the store, beside the cosine of two clips of
different classes; and the rate of right nearest neighbours among the training clips with all joints. All
streams together.
"""

import argparse
import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

import kinelex
from kinelex.data.splits.split import get_split
from kinelex.inference.clips import Clips, clips_of_arrays
from kinelex.inference.features import extract_all
from kinelex.inference.fusion import joined
from kinelex.inference.vectors import unit_rows
from kinelex.skeleton import SkeletonLayout, get_layout, retarget
from kinelex.training.encoder_files import SkeletonEncoder, load_encoders

TEN = SkeletonLayout(
    "ten joints",
    ("head", "neck", "left_shoulder", "left_wrist", "right_shoulder", "right_wrist")
    + ("left_hip", "left_ankle", "right_hip", "right_ankle"),
    (1, 1, 1, 2, 1, 4, 1, 6, 1, 8),
)


def in_layout(clip: np.ndarray, source: SkeletonLayout, target: SkeletonLayout) -> np.ndarray:
    """A clip (T, M, V, C) in another layout."""
    x = torch.from_numpy(clip.copy()).permute(3, 0, 2, 1)
    return retarget(x, source, target).permute(1, 3, 2, 0).numpy()


def flattened(clip: np.ndarray, depth: int | None = None) -> np.ndarray:
    """The clip as a picture sees it: 0 along the camera's depth, or where the body is thinnest."""
    y, seen = clip.copy(), clip[(clip != 0).any(axis=-1)]
    thinnest = int(seen.std(axis=0).argmin()) if len(seen) else 0
    y[..., thinnest if depth is None else depth] = 0
    return y


def without(clip: np.ndarray, count: int, draws: np.random.Generator) -> np.ndarray:
    """The clip with so many joints missing all the time."""
    y = clip.copy()
    y[:, :, draws.permutation(clip.shape[2])[:count]] = 0
    return y


def variants(
    clips: list[np.ndarray], source: SkeletonLayout, draws: np.random.Generator, depth: int | None
) -> Iterator[tuple[str, list[np.ndarray], SkeletonLayout]]:
    """The clips as they are, in other layouts, and with joints removed."""
    yield f"{source.name}, as they are", clips, source
    for layout in (*map(get_layout, ("mediapipe33", "smpl24", "coco17", "sbu15")), TEN):
        yield layout.name, [in_layout(clip, source, layout) for clip in clips], layout
    coco = get_layout("coco17")
    seen = [in_layout(clip, source, coco) for clip in clips]
    yield "coco17, 2-D, the thinnest axis dropped", [flattened(clip) for clip in seen], coco
    if depth is not None:
        yield "coco17, 2-D, as the camera sees it", [flattened(clip, depth) for clip in seen], coco
    for count in (1, 2, 4, 6, 8):
        name = f"{count} of {source.num_joints} joints removed"
        yield name, [without(clip, count, draws) for clip in clips], source


def embedded(encoders: dict[str, SkeletonEncoder], clips: Clips, rows: np.ndarray) -> np.ndarray:
    """Features of all streams side by side, of length 1, of clips of any layout."""
    reading = {stream: encoder.for_store(clips) for stream, encoder in encoders.items()}
    return unit_rows(joined(list(extract_all(reading, clips, rows).values())))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("store", type=Path)
    parser.add_argument("--protocol", required=True)
    parser.add_argument("--clips", type=int, default=300)
    parser.add_argument("--csv", type=Path)
    parser.add_argument("--depth", type=int, help="which coordinate is the camera's depth (0, 1 or 2)")
    asked = parser.parse_args()
    store = kinelex.open_store(asked.store)
    split = get_split(store, asked.protocol)
    draws = np.random.default_rng(0)
    test = draws.permutation(split.test)[: asked.clips]
    encoders = load_encoders(asked.run)
    gallery = embedded(encoders, store, np.asarray(split.train))
    clips, labels = [store.sequence(int(k)) for k in test], store.labels
    whole = None
    rows = []
    for name, made, layout in variants(clips, store.layout, draws, asked.depth):
        found = embedded(encoders, clips_of_arrays(made, layout), np.arange(len(made)))
        whole = found if whole is None else whole
        own = (found * whole).sum(axis=1)
        others = (found @ whole.T)[labels[test][:, None] != labels[test][None]]
        right = (labels[split.train][(found @ gallery.T).argmax(axis=1)] == labels[test]).mean()
        rows.append(
            {
                "clips": name,
                "cosine": round(float(own.mean()), 3),
                "lowest twentieth": round(float(np.quantile(own, 0.05)), 3),
                "clips of other classes": round(float(others.mean()), 3),
                "nearest neighbour, %": round(100 * float(right), 1),
            }
        )
        print(*rows[-1].values(), sep="\t", flush=True)
    if asked.csv:
        with asked.csv.open("w", newline="") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)


if __name__ == "__main__":
    main()
