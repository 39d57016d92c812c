"""How long a neighbour search takes and how much memory, against scikit-learn's brute force in the same run.

    python benchmarks/knn.py [--bank 50000] [--queries 20000] [--width 256] [--k 1 20] [--threads 2]
                             [--part 1] [--out benchmarks/knn.csv]

Both find the k nearest of all pairs by cosine similarity, on as many threads, each in a process of its own;
memory is what that process held at most beyond the libraries and the features. Ours ranks the classes too.
scikit-learn runs on one query in ``--part``, and its time is scaled up.
"""

from __future__ import annotations

import argparse
import csv
import datetime
import json
import os
import platform
import resource
import subprocess
import sys
import time
from pathlib import Path

CLASSES = 60


def ours(sizes: dict[str, int]) -> dict[str, object]:
    """kinelex's search and votes."""
    from kinelex.evaluation.knn import knn

    bank, query, labels = features(sizes)
    before = memory()
    start, cpu = time.perf_counter(), time.process_time()
    found = knn(bank, labels, query, CLASSES, sizes["k"])
    return measured(start, cpu, before, found.indices)


def brute_force(sizes: dict[str, int]) -> dict[str, object]:
    """scikit-learn's search."""
    from sklearn.neighbors import NearestNeighbors

    bank, query, _ = features(sizes)
    query = query[:: sizes["part"]]
    before = memory()
    start, cpu = time.perf_counter(), time.process_time()
    model = NearestNeighbors(n_neighbors=sizes["k"], metric="cosine", algorithm="brute").fit(bank)
    return measured(start, cpu, before, model.kneighbors(query)[1])


def features(sizes: dict[str, int]):  # noqa: ANN201
    """The same bank, queries and labels in both processes."""
    import numpy as np

    rng = np.random.default_rng(0)
    bank = rng.normal(size=(sizes["bank"], sizes["width"])).astype(np.float32)
    query = rng.normal(size=(sizes["queries"], sizes["width"])).astype(np.float32)
    return bank, query, rng.integers(0, CLASSES, sizes["bank"])


def memory() -> int:
    """The most that this process has held, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def measured(start: float, cpu: float, before: int, indices) -> dict[str, object]:  # noqa: ANN001
    """Seconds, bytes, and the neighbours of some queries to compare."""
    return {
        "seconds": time.perf_counter() - start,
        "cpu_seconds": time.process_time() - cpu,
        "bytes": memory() - before,
        "peak": memory(),
        "rows": len(indices),
        "first": indices[0].tolist(),
    }


def in_a_process(which: str, sizes: dict[str, int], threads: int) -> dict:
    """One measurement in a fresh process."""
    variables = {
        name: str(threads) for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    }
    command = [sys.executable, __file__, "--measure", json.dumps([which, sizes])]
    done = subprocess.run(
        command, env={**os.environ, **variables}, capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--bank", type=int, default=50_000)
    parser.add_argument("--queries", type=int, default=20_000)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--k", type=int, nargs="+", default=[1, 20])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--part", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/knn.csv"))
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        which, sizes = json.loads(given.measure)
        print(json.dumps({"ours": ours, "brute_force": brute_force}[which](sizes)))
        return
    command = ["git", "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    rows = []
    for k in given.k:
        sizes = {
            "bank": given.bank,
            "queries": given.queries,
            "width": given.width,
            "k": k,
            "part": given.part,
        }
        mine, theirs = (in_a_process(which, sizes, given.threads) for which in ("ours", "brute_force"))
        scale = given.queries / theirs["rows"]
        rows.append(
            {
                "date": datetime.date.today().isoformat(),
                "commit": commit,
                "hardware": f"{platform.machine()}, {given.threads} threads, load {os.getloadavg()[0]:.0f}",
                **{name: sizes[name] for name in ("bank", "queries", "width", "k")},
                "ours_s": round(mine["seconds"], 1),
                "ours_cpu_s": round(mine["cpu_seconds"], 1),
                "ours_mb": round(mine["bytes"] / 1e6),
                "ours_peak_mb": round(mine["peak"] / 1e6),
                "sklearn_s": round(theirs["seconds"] * scale, 1),
                "sklearn_cpu_s": round(theirs["cpu_seconds"] * scale, 1),
                "sklearn_mb": round(theirs["bytes"] / 1e6),
                "ratio_cpu": round(theirs["cpu_seconds"] * scale / mine["cpu_seconds"], 2),
                "same_neighbours": mine["first"] == theirs["first"],
            }
        )
        print(", ".join(f"{name} {value}" for name, value in rows[-1].items()))
    with given.out.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
