"""The tables of docs/results.md: a method's variants × seeds on one data set, mean ± standard deviation.

    python benchmarks/method_results.py c2vl STORE PROTOCOL --prompts PROMPTS --out runs/nw_ucla --jobs 2
    python benchmarks/method_results.py cmd STORE PROTOCOL --out runs/nw_ucla_cmd --jobs 2
    python benchmarks/method_results.py supervised STORE PROTOCOL --out runs/utd_supervised --jobs 2
    python benchmarks/method_results.py mmcl STORE PROTOCOL --prompts PROMPTS --out runs/utd_mmcl --jobs 2

Finished runs in --out are taken as they are, so that an interrupted table goes on. Each run is what
`kinelex train METHOD … && kinelex evaluate … --tasks knn,linear,linear_sgd` makes; where labels were learned
the tasks are classify,knn.
"""

from __future__ import annotations

import argparse
import csv
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from _runs import spread, trained_and_judged

VARIANTS: dict[str, dict[str, list[str]]] = {
    "c2vl": {
        "C2VL, soft targets": [],
        "C2VL, hard targets (InfoNCE)": ["alpha=0"],
        "language only, soft": ["modalities=[language]"],
        "vision only, soft": ["modalities=[vision]"],
        "intra-modal term only": ["inter=false"],
        "inter-modal term only": ["intra=none"],
        "random prompt per step": ["prompt=random"],
        "prompts not standardised": ["standardise=false"],
        "two skeleton views": ["views=2"],
    },
    "cmd": {
        "CMD": [],
        "streams apart (distillation 0)": ["distillation=0"],
        "nearest neighbours as positives": ["mining=top"],
    },
    "supervised": {"supervised": []},
    "mmcl": {
        "MMCL": [],
        "without alignment (FAM)": ["alignment=0"],
        "without refinement (FRM)": ["refinement=0"],
    },
}
FROZEN, LABELLED = ("knn", "linear", "linear_sgd"), ("classify", "knn")
TASKS = {"c2vl": FROZEN, "cmd": FROZEN, "supervised": LABELLED, "mmcl": LABELLED}
BASELINES = {
    "raw_knn": "raw coordinates, nearest neighbour",
    "raw_knn_aligned": "raw coordinates in the body's frame, nearest neighbour",
    "untrained_knn": "untrained encoder, nearest neighbour",
    "untrained_linear": "untrained encoder, linear probe",
    "prompt_probe_language": "linear probe on the language prompts",
    "prompt_probe_vision": "linear probe on the vision prompts",
    "prompt_probe_both": "linear probe on both prompts",
    "chance": "chance",
}


def run(name: str, seed: int, options: argparse.Namespace) -> dict[str, Any]:
    """Train and evaluate one variant with one seed, unless it is done."""
    slug = "".join(c if c.isalnum() else "_" for c in name.split(" (")[0]).strip("_")
    prompts = ["--prompts", options.prompts] if options.prompts else []
    start = time.perf_counter()
    numbers = trained_and_judged(
        options.out / f"{slug}_{seed}",
        options.recipe or options.method,
        ["--data", options.store, "--protocol", options.protocol, *prompts],
        [*VARIANTS[options.method][name], f"seed={seed}", *options.changes],
        ["--tasks", ",".join(TASKS[options.method])],
        options.jobs,
    )
    print(f"{name}, seed {seed}: {time.perf_counter() - start:.0f} s", file=sys.stderr)
    return numbers


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("method", choices=VARIANTS)
    parser.add_argument("store")
    parser.add_argument("protocol")
    parser.add_argument("changes", nargs="*", help="key=value changes for all variants")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--prompts", default="", help="for methods that read them")
    parser.add_argument("--recipe", default="", help="the method's for the data set by default")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time")
    parser.add_argument("--variants", default="", help="numbers of the variants to run, all by default")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    names = list(VARIANTS[options.method])
    chosen = [names[int(i)] for i in options.variants.split(",")] if options.variants else names
    seeds = [int(s) for s in options.seeds.split(",")]
    cells = [(name, seed) for seed in seeds for name in chosen]
    with ThreadPoolExecutor(options.jobs) as pool:
        results = dict(zip(cells, pool.map(lambda c: run(*c, options), cells), strict=True))
    rows = []
    tasks = TASKS[options.method]
    has_copies = "top1_without_copies" in results[cells[0]]["knn"]
    for name in chosen:
        row = {"variant": name}
        for task in tasks:
            row[task] = spread([results[name, s][task]["top1"] for s in seeds])
            if has_copies:
                row[f"{task}, no copies"] = spread(
                    [results[name, s][task]["top1_without_copies"] for s in seeds]
                )
        rows.append(row)
        for stream in results[name, seeds[0]][tasks[0]].get("streams", {}):
            alone = {"variant": f"{name}: {stream} alone"}
            for task in tasks:
                judged = [results[name, s][task]["streams"][stream] for s in seeds]
                alone[task] = spread([numbers["top1"] for numbers in judged])
                if has_copies:
                    alone[f"{task}, no copies"] = spread([n["top1_without_copies"] for n in judged])
            rows.append(alone)
    baselines = [results[cell]["baselines"] for cell in cells]
    print("| " + " | ".join(rows[0]) + " |\n|" + "---|" * len(rows[0]))
    for row in rows:
        print("| " + " | ".join(row.values()) + " |")
    print("\n| baseline | top-1 |\n|---|---|")
    for key, label in BASELINES.items():
        values = [b[key] for b in baselines if b.get(key) is not None]
        if values:
            print(f"| {label} | {spread(values) if 'untrained' in key else f'{100 * values[0]:.1f}'} |")
    with (options.out / "table.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
