"""Skeletons of your own: a layout in YAML, a store written from arrays, and a first training on them.

    python examples/own_layout.py --out own_layout_example

The arrays here are the built-in actors cut down to 10 joints. Needs the extra `embedded` for the sentences.
"""

import argparse
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from kinelex.data import SkeletonStoreWriter, open_store
from kinelex.datasets import describe_store, render_store
from kinelex.datasets.synthetic import actors_meta, generate_actors
from kinelex.prompts import make_prompts
from kinelex.reports import evaluate
from kinelex.skeleton import SkeletonLayout, get_layout
from kinelex.training.train import train

LAYOUT = SkeletonLayout.from_yaml("""
name: stick10
joints:  # each with its parent, in the order of the coordinates; the root is its own parent
  pelvis: pelvis
  head: pelvis
  left_shoulder: pelvis
  left_hand: left_shoulder
  right_shoulder: pelvis
  right_hand: right_shoulder
  left_hip: pelvis
  left_ankle: left_hip
  right_hip: pelvis
  right_ankle: right_hip
""")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("own_layout_example"), help="a new folder")
    parser.add_argument("--clips", type=int, default=240, help="clips of the built-in actors")
    parser.add_argument("--epochs", type=int, default=20)
    options = parser.parse_args()

    store, prompts = options.out / "stick.arrow", options.out / "prompts.arrow"
    chosen = [get_layout("ntu25").index(joint) for joint in LAYOUT.joints]
    with SkeletonStoreWriter(store, replace(actors_meta(options.clips), layout=LAYOUT)) as writer:
        for clip in generate_actors(options.clips):  # your loop over your files goes here
            writer.add(replace(clip, coordinates=clip.coordinates[:, :, chosen]))  # (T, M, V, C), metres
    Console().print(render_store(describe_store(open_store(store))))

    make_prompts(store, prompts, language="kinematic", frames=8)
    changes = [f"epochs={options.epochs}", "channels=8", "depth=[1,1,1]", "batch_size=32", "align=torso"]
    run = train("c2vl", store, "xsub", options.out / "run", prompts, changes)
    evaluate(run.path, tasks=["knn"])


if __name__ == "__main__":
    main()
