"""The built-in actors as a camera films them: 2-D key points with scores, as pose estimators give them."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np

from kinelex.data import SkeletonStore, open_store
from kinelex.datasets.synthetic import write_actors
from kinelex.skeleton import get_layout, retarget_matrix

HEIGHT, WIDTH, FOCAL = 1080, 1920, 1000.0
ACTED = [0, 11, 13, 21]  # one of them by two persons
NAMES = ("wave right hand", "squat", "walk", "shake hands")


def filmed(x: np.ndarray) -> np.ndarray:
    """Pixels of points before a camera: x to the right, y down; absent points (all zeros) stay so.

    Shape:
        - x: (..., 3), metres, y up, z away from the camera
        - returns: (..., 2)
    """
    there = x.any(axis=-1, keepdims=True)
    depth = np.maximum(x[..., 2:], 0.5)
    pixels = np.array([WIDTH / 2, HEIGHT / 2]) + FOCAL * x[..., :2] * (1, -1) / depth
    return np.where(there, pixels, 0.0).astype(np.float32)


def annotations(store: SkeletonStore, layout: str, unseen: float = 0.02) -> list[dict[str, Any]]:
    """The clips of a 3-D store as the annotations of a PYSKL pickle; some joints are not seen, score 0."""
    matrix = retarget_matrix(store.layout, get_layout(layout))
    rng, out = np.random.default_rng(0), []
    for row, name in enumerate(store.ids):
        x = store.sequence(row)
        pixels = filmed(matrix @ x)
        scores = rng.uniform(0.5, 1.0, pixels.shape[:3]) * pixels.any(axis=-1)
        scores[rng.random(scores.shape) < unseen] = 0.0
        pixels[scores == 0] = 0.0
        out.append(
            {
                "frame_dir": name,
                "label": int(store.labels[row]),
                "img_shape": (HEIGHT, WIDTH),
                "original_shape": (HEIGHT, WIDTH),
                "total_frames": len(x),
                "keypoint": pixels.transpose(1, 0, 2, 3).astype(np.float16),
                "keypoint_score": scores.transpose(1, 0, 2).astype(np.float16),
                "subject": int(store.subjects[row]),
                "camera": int(store.cameras[row]),
            }
        )
    return out


def write_pickle(path: Path, layout: str = "coco17", performers: int = 6, seed: int = 0) -> Path:
    """A PYSKL pickle of acted clips with the split ``xsub``, each of :data:`NAMES` by some performers."""
    keys = [(a + 1, p + 1, p % 3 + 1, 1) for p in range(performers) for a in ACTED]
    write_actors(path.with_suffix(".actors"), keys, seed)
    entries = annotations(open_store(path.with_suffix(".actors")), layout)
    sides: dict[str, list[str]] = {"xsub_train": [], "xsub_val": []}
    for number, entry in enumerate(entries):
        entry["label"] = ACTED.index(entry["label"])
        entry["frame_dir"] = f"film{seed}_{number}"
        sides["xsub_val" if entry["subject"] % 2 else "xsub_train"].append(entry["frame_dir"])
    path.write_bytes(pickle.dumps({"split": sides, "annotations": entries}))
    path.with_suffix(".txt").write_text("\n".join(NAMES) + "\n")
    return path
