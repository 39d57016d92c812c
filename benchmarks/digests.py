"""Whether a change of the code changed what comes out: digests of a small run of every method.

    python benchmarks/digests.py --out before.txt
    python benchmarks/digests.py --out after.txt; diff before.txt after.txt

The built-in actors are prepared and described, each method is trained for two epochs by the command line's
general recipe with small widths, and judged with `knn` and `linear`. Printed is a digest of the stores'
contents, of every tensor of the encoder (bit by bit), of the losses and of the numbers of the evaluation.
Digests hold on one kind of processor and one version of PyTorch; compare two prints of one machine.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import tempfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch
from safetensors.torch import load_file

from kinelex.cli import main as kinelex

CLOCK = ("seconds", "clips_per_second")
SMALL = ["frames=16", "batch_size=24", "epochs=2", "accelerator=cpu", "precision=32-true"]
METHODS = {
    "c2vl": ["channels=2", "depth=[1,1,1]", "dim=8", "hidden=16"],
    "cmd": ["hidden=16", "dim=8", "queue=48", "top_k=24", "crop_minimum=8"],
    "mmcl": ["channels=2", "depth=[1,1,1]"],
    "supervised": ["channels=2", "depth=[1,1,1]"],
}


def digest(*parts: bytes) -> str:
    """The first 16 hexadecimal digits of SHA-256 over the parts."""
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]


def of_store(path: Path) -> str:
    """The columns of a store, whatever its metadata."""
    with pa.memory_map(str(path)) as source:
        table = pa.ipc.open_file(source).read_all()
    return digest(*(json.dumps(column.to_pylist(), default=str).encode() for column in table.columns))


def of_weights(path: Path) -> str:
    """Names, types and bits of all tensors."""
    parts = []
    for name, tensor in sorted(load_file(path).items()):
        bits = tensor.contiguous().view(torch.uint8) if tensor.dim() else tensor.reshape(1).view(torch.uint8)
        parts += [name.encode(), str(tensor.dtype).encode(), bits.numpy().tobytes()]
    return digest(*parts)


def of_losses(path: Path) -> str:
    """The rows of metrics.csv without the columns of the clock."""
    with path.open(newline="") as file:
        rows = [{k: v for k, v in row.items() if k not in CLOCK} for row in csv.DictReader(file)]
    return digest(json.dumps(rows, sort_keys=True).encode())


def call(*words: Any) -> None:
    """A command, which must end well."""
    if kinelex([str(word) for word in words]):
        raise SystemExit(f"kinelex {' '.join(map(str, words))} failed")


def lines(folder: Path) -> list[str]:
    """All digests, one a line."""
    store, prompts = folder / "actors.arrow", folder / "prompts.arrow"
    call("prepare", "actors", "--clips", 96, "--out", store)
    engines = ["--language", "kinematic", "--vision", "render", "--vision-frames", 2]
    call("prompts", store, *engines, "--frames", 4, "--out", prompts)
    found = [f"store {of_store(store)}", f"prompts {of_store(prompts)}"]
    for method, widths in METHODS.items():
        run, numbers = folder / method, folder / f"{method}.json"
        given = ["--prompts", prompts] if method in ("c2vl", "mmcl") else []
        data = ["--data", store, "--protocol", "xsub", *given]
        call("train", method, *data, "--out", run, *SMALL, *widths)
        call("evaluate", run, "--tasks", "knn,linear", "--json", numbers)
        content = json.loads(numbers.read_text())
        judged = {task: content[task]["top1"] for task in ("knn", "linear")} | content["baselines"]
        found += [
            f"{method} weights {of_weights(run / 'encoder.safetensors')}",
            f"{method} losses {of_losses(run / 'metrics.csv')}",
            f"{method} numbers {digest(json.dumps(judged, sort_keys=True).encode())}",
        ]
    return found


def main() -> None:
    """Make the runs in a folder that goes, and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, help="also write the lines to this file")
    given = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        said = "\n".join(lines(Path(folder)))
    print(said)
    if given.out:
        given.out.write_text(said + "\n")


if __name__ == "__main__":
    main()
