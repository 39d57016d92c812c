"""How good poses from videos are: against Kinect's joints of an NTU clip, and other key points of squats.

    python benchmarks/pose.py ../shared/data/videos --out poses

Needs the videos, `pip install 'kinelex[pose]'` and the model file (docs/pose.md). Prints frames per second,
in how many frames each person is seen, and mean distances of joints after the best rotation, scale and shift;
writes drawings of frames into the folder, a colour for each person.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np

import kinelex
from kinelex.data import SkeletonStore
from kinelex.datasets import prepare
from kinelex.pose import PoseOptions, estimate

JOINTS = [  # that NTU and MediaPipe both have
    f"{side}_{joint}"
    for side in ("left", "right")
    for joint in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
]


def fit_error(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Distances of points after the best rotation, scale and shift of x onto y; (N, 3) each, gives (N,).

    Source: Umeyama, TPAMI 1991.
    """
    a, b = x - x.mean(0), y - y.mean(0)
    u, s, v = np.linalg.svd(b.T @ a)
    turn = np.ones(3)
    turn[2] = np.sign(np.linalg.det(u @ v))
    scale = (s * turn).sum() / (a**2).sum()
    return np.linalg.norm(scale * a @ (u * turn @ v).T - b, axis=1)


def by_frame(x: np.ndarray, y: np.ndarray) -> float:
    """Mean distance with a fit of its own for every frame."""
    return float(np.mean([fit_error(a, b).mean() for a, b in zip(x, y, strict=True)]))


def against_kinect(poses: SkeletonStore, row: int, raw: Path, folder: Path) -> None:
    """The NTU clip: our joints and Kinect's, as named and with the sides of a mirrored picture changed."""
    source = folder / "ntu"
    source.mkdir(exist_ok=True)
    name = "S001C001P001R001A001.skeleton"
    (source / name).write_bytes((raw / name).read_bytes())
    prepare("ntu60", source, folder / "ntu.arrow", progress=False)
    kinect = kinelex.open_store(folder / "ntu.arrow")
    y, x = kinect.sequence(0)[:, 0], poses.sequence(row)[:, 0]
    frames = min(len(x), len(y))
    names = JOINTS
    columns = [kinect.layout.index(name) for name in names]
    other = [n.replace("left", "*").replace("right", "left").replace("*", "right") for n in names]
    for words, order, flip in (("as named", names, 1), ("mirrored, sides changed", other, -1)):
        at = [poses.layout.index(name) for name in order]
        ours, theirs = x[:frames, at] * (flip, 1, 1), y[:frames, columns]
        there = ours.any(axis=(1, 2)) & theirs.any(axis=(1, 2))
        ours, theirs = ours[there], theirs[there]
        hips = [names.index("left_hip"), names.index("right_hip")]
        theirs = theirs - theirs[:, hips].mean(axis=1, keepdims=True)  # ours have no place in the room
        whole = fit_error(ours.reshape(-1, 3), theirs.reshape(-1, 3)).mean()
        print(
            f"NTU, {words}: {100 * whole:.1f} cm with one fit for the clip, "
            f"{100 * by_frame(ours, theirs):.1f} cm with one for each frame "
            f"({there.sum()} frames, {len(at)} joints)"
        )


def against_json(poses: SkeletonStore, row: int, path: Path) -> None:
    """The squats: our joints and another estimator's, MediaPipe's landmarks too (x right, y down)."""
    frames = json.loads(path.read_text())
    x = poses.sequence(row)[:, 0]
    y = np.array([frame if frame else np.zeros((33, 3)) for frame in frames], np.float32)[:, :, :3]
    count = min(len(x), len(y))
    x, y = x[:count], y[:count] * (-1, -1, 1)
    there = x.any(axis=(1, 2)) & y.any(axis=(1, 2))
    plain = np.linalg.norm(x[there] - y[there], axis=2).mean()
    whole = fit_error(x[there].reshape(-1, 3), y[there].reshape(-1, 3)).mean()
    print(
        f"squats: {len(x)} frames here, {len(frames)} there; {100 * plain:.1f} cm as they are, "
        f"{100 * whole:.1f} cm "
        f"with one fit for the clip, {100 * by_frame(x[there], y[there]):.1f} cm with one for each frame"
    )


def draw(store: SkeletonStore, row: int, video: Path, path: Path, count: int = 8) -> None:
    """Some frames of a video with the joints of each person in a colour of its own."""
    import matplotlib.pyplot as plt

    from kinelex.files.video import VideoFile

    pictures = [picture for _, picture in VideoFile(video).timed_pictures()]
    x = store.image_coordinates(row)
    assert x is not None
    figure, axes = plt.subplots(2, count // 2, figsize=(16, 9))
    for axis, t in zip(axes.flat, np.linspace(0, len(x) - 1, count).astype(int), strict=True):
        axis.imshow(pictures[min(t * len(pictures) // len(x), len(pictures) - 1)])
        for person in range(x.shape[1]):
            for joint, parent in enumerate(store.layout.parents):
                pair = x[t, person, [joint, parent]]
                if pair.any(axis=1).all():
                    axis.plot(*pair.T, color=f"C{person}", lw=2)
        axis.set_title(f"frame {t}")
        axis.axis("off")
    figure.tight_layout()
    figure.savefig(path, dpi=60)


def main() -> None:
    """Run all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("videos", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--persons", type=int, default=2)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    paths = sorted(p for p in options.videos.iterdir() if p.suffix in (".mp4", ".avi"))
    start = time.perf_counter()
    summary = estimate(paths, options.out / "poses.arrow", PoseOptions(persons=options.persons), workers=1)
    store = kinelex.open_store(summary.store)
    took = time.perf_counter() - start
    print(f"{summary}; {sum(store.lengths)} frames in {took:.0f} s, {sum(store.lengths) / took:.1f} a second")
    for note in summary.notes:
        print(f"note: {note}")
    for row, name in enumerate(store.ids):
        x = store.sequence(row)
        seen = x.any(axis=(2, 3)).sum(axis=0).tolist()
        print(f"{name}: {len(x)} frames, {store.image_size(row)}, persons seen in {seen} frames")
    rows = {name: row for row, name in enumerate(store.ids)}
    if (row := rows.get("S001C001P001R001A001_rgb")) is not None:
        against_kinect(store, row, options.videos, options.out)
    if (row := rows.get("pose_squats")) is not None:
        against_json(store, row, options.videos / "pose_squats_3d.full.json")
    for path in paths:
        if path.stem in rows:
            draw(store, rows[path.stem], path, options.out / f"{path.stem}.png")


if __name__ == "__main__":
    main()
