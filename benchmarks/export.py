"""An exported run beside the run itself: the same answers, and milliseconds a window on one core.

    python benchmarks/export.py RUN STORE --clips 200 --raw FILE...

--raw: clip files of the data set, which `predict_files` reads, beside the same clips of the store.
"""

import argparse
import platform
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

import kinelex
from kinelex import runtime

TOLERANCE = 1e-4


def milliseconds(answer: Callable[[], Any], times: int = 50) -> float:
    """The median time of one call, after three."""
    spans = []
    for number in range(times + 3):
        start = time.perf_counter()
        answer()
        if number >= 3:
            spans.append(1000 * (time.perf_counter() - start))
    return float(np.median(spans))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("store", type=Path)
    parser.add_argument("--clips", type=int, default=200)
    parser.add_argument("--raw", type=Path, nargs="*", default=[])
    asked = parser.parse_args()
    torch.set_num_threads(1)
    store = kinelex.open_store(asked.store)
    rows = np.unique(np.linspace(0, len(store) - 1, asked.clips).astype(int))
    model = kinelex.load_model(asked.run)
    clips = [np.array(store.sequence(int(row))) for row in rows]
    rates = store.fps[rows]
    with TemporaryDirectory() as folder:
        file = Path(folder) / "run.onnx"
        start = time.perf_counter()
        made = kinelex.export(model, file)
        print(f"exported in {time.perf_counter() - start:.0f} s: {made}")
        alone = runtime.load(file, threads=1)
    fps = None if np.isnan(rates).any() else rates.tolist()
    of_store = model.predict(store)
    pairs = {
        "arrays": (model.predict(clips, fps=fps), [of_store[row] for row in rows]),
        "runtime": (alone.predict(clips, fps=fps), [of_store[row] for row in rows]),
    }
    if asked.raw:
        found = model.predict_files(asked.raw)
        pairs["files"] = (found, [of_store[store.ids.index(one.id)] for one in found])
    for name, (one, other) in pairs.items():
        apart = max(np.abs(a.probabilities - b.probabilities).max() for a, b in zip(one, other, strict=True))
        same = sum(a.label == b.label for a, b in zip(one, other, strict=True))
        print(f"{name} beside the store: {same} of {len(other)} labels, probabilities within {apart:.1e}")
        assert apart < TOLERANCE
    window = clips[int(np.median(np.arange(len(clips))))]
    print(f"a window of {window.shape[0]} frames, one core of {platform.processor() or platform.machine()}:")
    print(f"  kinelex.runtime {milliseconds(lambda: alone.predict(window, fps=30)):.1f} ms")
    print(f"  onnxruntime     {milliseconds(lambda: alone.features(window, fps=30)):.1f} ms (features)")
    print(f"  load_model      {milliseconds(lambda: model.predict(window, fps=30)):.1f} ms")


if __name__ == "__main__":
    main()
