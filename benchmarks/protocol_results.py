"""The tables of docs/results.md that judge one checkpoint of every method by every task, on one data set.

    python benchmarks/protocol_results.py STORE PROTOCOL --prompts PROMPTS --to OTHER_STORE OTHER_PROTOCOL \\
        --out runs/nw_ucla_all [--seeds 0,1,2] [--methods untrained,c2vl,cmd,supervised,mmcl] [--jobs 2]

Trains each method with the recipe of the data set and each seed, judges it by the quick tasks on frozen
encoders and, with the first seed, by robustness and transfer and, where no labels were learned, by the tasks
that train (finetune, semi, transfer by fine-tuning), and compares. What is in --out already is taken as it
is, so that an interrupted table goes on. The table is printed; the page with figures is in OUT/comparison.
"""

from __future__ import annotations

import argparse
import csv
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from _runs import KINELEX, trained_and_judged

METHODS = {
    "untrained": ("c2vl", ["epochs=0"]),
    "c2vl": ("c2vl", []),
    "cmd": ("cmd", []),
    "supervised": ("supervised", []),
    "mmcl": ("mmcl", []),
}
NAMES = {
    "untrained": "untrained",
    "c2vl": "C2VL",
    "cmd": "CMD",
    "supervised": "supervised",
    "mmcl": "MMCL",
}
LEARN_LABELS = ("supervised", "mmcl")
READ_PROMPTS = ("untrained", "c2vl", "mmcl")
FROZEN = ("knn", "linear", "linear_sgd", "retrieval", "calibration")
LONG = ("robustness", "transfer")
TRAIN = ("finetune", "semi")


def run(method: str, seed: int, first: bool, given: argparse.Namespace) -> Path:
    """Train and judge one method with one seed, unless it is done."""
    folder = given.out / f"{method}_{seed}"
    recipe, changes = METHODS[method]
    prompts = ["--prompts", given.prompts] if method in READ_PROMPTS else []
    labelled = method in LEARN_LABELS
    tasks, options = ("classify", *FROZEN) if labelled else FROZEN, []
    if first:
        other, protocol = given.to
        ways = "linear" if labelled else "linear,full"
        tasks += LONG if labelled else LONG + TRAIN
        options = [f"transfer.data={other}", f"transfer.protocol={protocol}", f"transfer.by={ways}"]
        options += [] if labelled else [f"semi.kinds={given.semi_kinds}"]
    trained_and_judged(
        folder,
        recipe,
        ["--data", given.store, "--protocol", given.protocol, *prompts],
        [f"seed={seed}", *changes],
        ["--tasks", ",".join(tasks), *options, "--seed", str(seed)],
        given.jobs,
    )
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("store")
    parser.add_argument("protocol")
    parser.add_argument("--prompts", required=True)
    parser.add_argument("--to", nargs=2, required=True, metavar=("STORE", "PROTOCOL"), help="for transfer")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--semi-kinds", default="random,balanced", help="draws of few labels")
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    seeds, methods = [int(s) for s in given.seeds.split(",")], given.methods.split(",")
    cells = [(method, seed) for seed in seeds for method in methods]
    with ThreadPoolExecutor(given.jobs) as pool:
        folders = list(pool.map(lambda cell: run(*cell, cell[1] == seeds[0], given), cells))
    by_method = sorted(zip(cells, folders, strict=True), key=lambda of: methods.index(of[0][0]))
    runs = [str(folder) for _, folder in by_method]
    page = given.out / "comparison"
    subprocess.run([*KINELEX, "compare", *runs, "--out", str(page)], check=True, stdout=subprocess.DEVNULL)
    with (page / "comparison.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if not row["group"].endswith("(published)")]
    print("| per cent | " + " | ".join(NAMES[m] for m in methods) + " |\n|---" + "|---" * len(methods) + "|")
    for name in dict.fromkeys((row["task"], row["metric"]) for row in rows):
        found = [row for row in rows if (row["task"], row["metric"]) == name]
        cells_of = [number(next((r for r in found if r["group"].startswith(m)), None)) for m in methods]
        print(f"| {name[0].replace('_', ' ')} {name[1]} | " + " | ".join(cells_of) + " |")


def number(row: dict[str, str] | None) -> str:
    """Mean ± standard deviation over the seeds; of one seed the number alone."""
    if row is None or not row["mean"]:
        return "–"
    text = f"{100 * float(row['mean']):.1f}"
    return f"{text} ± {100 * float(row['sd']):.1f}" if row["sd"] else text


if __name__ == "__main__":
    main()
