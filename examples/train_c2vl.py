"""Teach a skeleton encoder with sentences about the built-in actors, then judge it: the whole way in Python.

    python examples/train_c2vl.py --out c2vl_example

Needs the extra `embedded` (pip install 'kinelex[embedded]'). Under a minute on one core; for real numbers use
more clips and epochs, and prompts of vision too (`kinelex quickstart`).
"""

import argparse
from pathlib import Path

import kinelex
from kinelex.datasets.synthetic import write_actors
from kinelex.prompts import make_prompts
from kinelex.reports import evaluate
from kinelex.training.train import train


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("c2vl_example"), help="a new folder")
    parser.add_argument("--clips", type=int, default=360, help="clips of the built-in actors")
    parser.add_argument("--epochs", type=int, default=20)
    options = parser.parse_args()

    store, prompts = options.out / "actors.arrow", options.out / "prompts.arrow"
    write_actors(store, clips=options.clips)
    make_prompts(store, prompts, language="kinematic", frames=8)
    opened = kinelex.open_prompts(prompts)
    print("what the teacher says of the first clip:", opened.clip(opened.ids[0]).language.texts[-1])

    # Any key of the recipe can be changed, as on the command line.
    changes = [
        f"epochs={options.epochs}",
        "channels=8",
        "depth=[1,1,1]",
        "frames=24",
        "batch_size=32",
        "align=torso",
    ]
    run = train("c2vl", store, "xsub", options.out / "run", prompts, changes)
    first, last = run.metrics()[0], run.metrics()[-1]
    print(f"loss {first['loss']:.2f} -> {last['loss']:.2f}")

    result = evaluate(run.path)  # prints a table and writes report.html into the run
    gain = result["linear"]["top1"] - result["baselines"]["untrained_linear"]
    print(f"the linear probe gains {100 * gain:.1f} points over the untrained encoder")


if __name__ == "__main__":
    main()
