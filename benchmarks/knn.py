"""How long neighbours, retrieval and linear probes take, against scikit-learn and faiss in the same run.

    python benchmarks/knn.py [--bank 50000] [--queries 20000] [--width 256] [--k 1 20] [--threads 2]
                             [--part 1] [--part-retrieval 20] [--out benchmarks/knn.csv]

``knn``: both find the k nearest of all pairs by cosine similarity, on as many threads, each in a process of
its own; memory is what that process held at most beyond the libraries and the features. Ours ranks the
classes too. ``retrieval``: both rank the whole bank for every query; ours gives average precision and recall
at 1, 5, 10, scikit-learn the similarities in chunks and ``average_precision_score`` of each query.
scikit-learn runs on one query in ``--part`` (``--part-retrieval``), and its time is scaled up. faiss's flat
index, where ``faiss`` is installed, finds the nearest of unit vectors, and no more. ``linear``: both choose
one of the same strengths, all tried, on the same five folds; scikit-learn by ``LogisticRegression``,
each fit starting at the last; ``--probe`` rows of 60 classes that overlap, and as many to test on, with the
rates of both.
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
from importlib.util import find_spec
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


def flat_index(sizes: dict[str, int]) -> dict[str, object]:
    """faiss's search."""
    import faiss

    bank, query, _ = features(sizes)
    before = memory()
    start, cpu = time.perf_counter(), time.process_time()
    for rows in (bank, query):
        faiss.normalize_L2(rows)
    index = faiss.IndexFlatIP(bank.shape[1])
    index.add(bank)
    indices = index.search(query, sizes["k"])[1]
    return measured(start, cpu, before, indices, indices[0])


def ours_linear(sizes: dict[str, int]) -> dict[str, object]:
    """kinelex's linear probe; the rate on other rows."""
    import sklearn.model_selection  # noqa: F401  (its import is in neither time)

    from kinelex.inference.linear_probe import linear_probe

    fit, labels, test, truth = overlapping(sizes)
    before = memory()
    start, cpu = time.perf_counter(), time.process_time()
    probe = linear_probe(fit, labels, CLASSES)
    found = probe.scores(test).argmax(axis=1) == truth
    return measured(start, cpu, before, found, found.mean(keepdims=True).round(3))


def sklearn_linear(sizes: dict[str, int]) -> dict[str, object]:
    """The same by scikit-learn's logistic regression."""
    from sklearn.linear_model import LogisticRegression

    from kinelex.inference.linear_probe import STRENGTHS, standardisation, training_folds

    fit, labels, test, truth = overlapping(sizes)
    before = memory()
    start, cpu = time.perf_counter(), time.process_time()
    settings = {"tol": 1e-3, "max_iter": 300, "warm_start": True}
    folds = training_folds(labels, None).parts
    models, rates = [LogisticRegression(**settings) for _ in folds], {}
    scaled = [standardisation(fit[rows]) for rows, _ in folds]
    for strength in STRENGTHS:
        rates[strength] = 0
        for (rows, held), model, (mean, scale) in zip(folds, models, scaled, strict=True):
            model.set_params(C=1 / (strength * len(rows))).fit((fit[rows] - mean) / scale, labels[rows])
            rates[strength] += (model.predict((fit[held] - mean) / scale) == labels[held]).sum()
    best, (mean, scale) = max(rates, key=rates.get), standardisation(fit)
    model = LogisticRegression(C=1 / (best * len(fit)), **settings).fit((fit - mean) / scale, labels)
    found = model.predict((test - mean) / scale) == truth
    return measured(start, cpu, before, found, found.mean(keepdims=True).round(3))


def overlapping(sizes: dict[str, int]):  # noqa: ANN201
    """Rows of classes that overlap, to fit and to test on."""
    import numpy as np

    rng = np.random.default_rng(0)
    labels = np.arange(2 * sizes["probe"]) % CLASSES
    rows = rng.normal(size=(CLASSES, sizes["width"]))[labels] * 0.15 + rng.normal(
        size=(len(labels), sizes["width"])
    )
    rows = rows.astype(np.float32)
    return rows[: sizes["probe"]], labels[: sizes["probe"]], rows[sizes["probe"] :], labels[sizes["probe"] :]


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
    "faiss_knn": flat_index,
    "ours_linear": ours_linear,
    "sklearn_linear": sklearn_linear,
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
    parser.add_argument("--probe", type=int, default=4_000)
    parser.add_argument("--tasks", nargs="+", default=["knn", "linear", "retrieval"])
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
    others = ["sklearn", "faiss"] if find_spec("faiss") else ["sklearn"]
    jobs: list[tuple[str, int | str, str, dict[str, int]]]
    jobs = [("knn", k, other, {**shape, "k": k, "part": given.part}) for k in given.k for other in others]
    jobs += [("linear", "", "sklearn", {**shape, "probe": given.probe})]
    jobs += [("retrieval", "all", "sklearn", {**shape, "part": given.part_retrieval})]
    rows = []
    for task, k, other, sizes in jobs:
        if task not in given.tasks:
            continue
        names = f"ours_{task}", f"{other}_{task}"
        mine, theirs = (in_a_process(which, sizes, given.threads) for which in names)
        scale = mine["rows"] / theirs["rows"]
        rows.append(
            {
                "date": datetime.date.today().isoformat(),
                "commit": commit,
                "hardware": f"{platform.machine()}, {given.threads} threads, load {os.getloadavg()[0]:.0f}",
                "task": task,
                **(
                    shape
                    if task != "linear"
                    else {"bank": given.probe, "queries": given.probe, "width": given.width}
                ),
                "k": k,
                "other": other,
                "ours_s": round(mine["seconds"], 1),
                "ours_cpu_s": round(mine["cpu_seconds"], 1),
                "ours_mb": round(mine["bytes"] / 1e6),
                "ours_peak_mb": round(mine["peak"] / 1e6),
                "other_s": round(theirs["seconds"] * scale, 1),
                "other_cpu_s": round(theirs["cpu_seconds"] * scale, 1),
                "other_mb": round(theirs["bytes"] / 1e6),
                "ratio_cpu": round(theirs["cpu_seconds"] * scale / mine["cpu_seconds"], 2),
                "same_found": mine["first"] == theirs["first"] if task != "linear" else "",
                "rates": f"{mine['first'][0]} {theirs['first'][0]}" if task == "linear" else "",
            }
        )
        print(", ".join(f"{name} {value}" for name, value in rows[-1].items()))
    with given.out.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
