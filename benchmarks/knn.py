"""How long neighbour search and retrieval take and how much memory, against scikit-learn in the same run.

    python benchmarks/knn.py [--bank 50000] [--queries 20000] [--width 256] [--k 1 20] [--threads 2]
                             [--part 1] [--part-retrieval 20] [--out benchmarks/knn.csv]

``knn``: both find the k nearest of all pairs by cosine similarity, on as many threads, each in a process of
its own; memory is what that process held at most beyond the libraries and the features. Ours ranks the
classes too. ``retrieval``: both rank the whole bank for every query; ours gives average precision and recall
at 1, 5, 10, scikit-learn the similarities in chunks and ``average_precision_score`` of each query.
scikit-learn runs on one query in ``--part`` (``--part-retrieval``), and its time is scaled up.
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
    from kinelex.inference.neighbours import knn

    bank, query, labels = features(sizes)
    before = memory()
    start, cpu = time.perf_counter(), time.process_time()
    found = knn(bank, labels, query, CLASSES, sizes["k"])
    return measured(start, cpu, before, found.indices, found.indices[0])


def brute_force(sizes: dict[str, int]) -> dict[str, object]:
    """scikit-learn's search."""
    from sklearn.neighbors import NearestNeighbors

    bank, query, _ = features(sizes)
    query = query[:: sizes["part"]]
    before = memory()
    start, cpu = time.perf_counter(), time.process_time()
    model = NearestNeighbors(n_neighbors=sizes["k"], metric="cosine", algorithm="brute").fit(bank)
    indices = model.kneighbors(query)[1]
    return measured(start, cpu, before, indices, indices[0])


def ours_retrieval(sizes: dict[str, int]) -> dict[str, object]:
    """kinelex's retrieval."""
    import numpy as np

    from kinelex.evaluation.retrieval_metrics import retrieve

    bank, query, labels = features(sizes)
    asked = np.random.default_rng(1).integers(0, CLASSES, len(query))
    before = memory()
    start, cpu = time.perf_counter(), time.process_time()
    found = retrieve(query, asked, bank, labels)
    some = found.average_precision[:: sizes["part"]][:5].round(6)
    return measured(start, cpu, before, found.average_precision, some)


def brute_force_retrieval(sizes: dict[str, int]) -> dict[str, object]:
    """scikit-learn's similarities and average precision."""
    import numpy as np
    from sklearn.metrics import average_precision_score, pairwise_distances_chunked

    bank, query, labels = features(sizes)
    asked = np.random.default_rng(1).integers(0, CLASSES, len(query))[:: sizes["part"]]
    query = query[:: sizes["part"]]
    before = memory()
    start, cpu = time.perf_counter(), time.process_time()
    found: list[float] = []
    for distances in pairwise_distances_chunked(query, bank, metric="cosine"):
        for row in distances:
            found.append(average_precision_score(labels == asked[len(found)], -row))
    return measured(start, cpu, before, found, np.array(found[:5]).round(6))


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


def measured(start: float, cpu: float, before: int, found, some) -> dict[str, object]:  # noqa: ANN001
    """Seconds, bytes, and some of what was found to compare."""
    return {
        "seconds": time.perf_counter() - start,
        "cpu_seconds": time.process_time() - cpu,
        "bytes": memory() - before,
        "peak": memory(),
        "rows": len(found),
        "first": some.tolist(),
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


MEASURED = {
    "ours_knn": ours,
    "sklearn_knn": brute_force,
    "ours_retrieval": ours_retrieval,
    "sklearn_retrieval": brute_force_retrieval,
}


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
    parser.add_argument("--part-retrieval", type=int, default=20)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/knn.csv"))
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        which, sizes = json.loads(given.measure)
        print(json.dumps(MEASURED[which](sizes)))
        return
    command = ["git", "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    shape = {"bank": given.bank, "queries": given.queries, "width": given.width}
    jobs: list[tuple[str, int | str, dict[str, int]]]
    jobs = [("knn", k, {**shape, "k": k, "part": given.part}) for k in given.k]
    jobs += [("retrieval", "all", {**shape, "part": given.part_retrieval})]
    rows = []
    for task, k, sizes in jobs:
        names = f"ours_{task}", f"sklearn_{task}"
        mine, theirs = (in_a_process(which, sizes, given.threads) for which in names)
        scale = given.queries / theirs["rows"]
        rows.append(
            {
                "date": datetime.date.today().isoformat(),
                "commit": commit,
                "hardware": f"{platform.machine()}, {given.threads} threads, load {os.getloadavg()[0]:.0f}",
                "task": task,
                **shape,
                "k": k,
                "ours_s": round(mine["seconds"], 1),
                "ours_cpu_s": round(mine["cpu_seconds"], 1),
                "ours_mb": round(mine["bytes"] / 1e6),
                "ours_peak_mb": round(mine["peak"] / 1e6),
                "sklearn_s": round(theirs["seconds"] * scale, 1),
                "sklearn_cpu_s": round(theirs["cpu_seconds"] * scale, 1),
                "sklearn_mb": round(theirs["bytes"] / 1e6),
                "ratio_cpu": round(theirs["cpu_seconds"] * scale / mine["cpu_seconds"], 2),
                "same_found": mine["first"] == theirs["first"],
            }
        )
        print(", ".join(f"{name} {value}" for name, value in rows[-1].items()))
    with given.out.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
