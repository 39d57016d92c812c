"""What torch.compile gains, encoder by encoder: forward and backward, and one clip at inference.

    python benchmarks/compiled.py [ENCODER ...] [--threads 1] [--turns 7] [--out benchmarks/compiled.csv]

Encoders of their default width (slots, transformer and gru: the sizes that two cores train) read 8 clips of
32 frames of ntu25, one person. Both ways take turns; a time is the median of the turns' processor time, a
ratio the median of the turns' ratios. "compiling" is the time of the first calls, "pays after" how many steps
it takes until that is won back.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from prepare import write_table

from kinelex import encoders

SMALL = {
    "slots": {"dim": 64, "depth": 3, "heads": 4},
    "transformer": {"dim": 64, "depth": 4, "heads": 4},
    "gru": {"hidden": 64, "apart": True},
}
CLIPS = 8


def seconds(network: Callable[[torch.Tensor], torch.Tensor], x: torch.Tensor, trains: bool) -> float:
    """Processor time of a forward pass, with the backward pass in training."""
    start = time.process_time()
    with torch.inference_mode(not trains):
        y = network(x)
    if trains:
        y.square().mean().backward()
    return time.process_time() - start


def rows_of(name: str, turns: int) -> list[dict[str, object]]:
    """Times of one encoder, in training and at inference."""
    torch.manual_seed(0)
    rows = []
    for part, clips in (("step", CLIPS), ("one clip", 1)):
        torch.compiler.reset()
        x = torch.randn(clips, 3, 32, 25, 1)
        plain = encoders.create(name, layout="ntu25", **SMALL.get(name, {})).train(part == "step")
        ways = plain, torch.compile(plain)
        start = time.perf_counter()
        seconds(ways[1], x, plain.training)
        compiling = time.perf_counter() - start
        seconds(plain, x, plain.training)
        times = [tuple(seconds(way, x, plain.training) for way in ways) for _ in range(turns)]
        before, after = (statistics.median(column) for column in zip(*times, strict=True))
        rows.append(
            {
                "encoder": name,
                "part": part,
                "plain ms": round(1000 * before, 1),
                "compiled ms": round(1000 * after, 1),
                "times as fast": round(statistics.median(a / b for a, b in times), 2),
                "compiling s": round(compiling),
                "pays after": round(compiling / (before - after)) if after < before else "never",
            }
        )
        print(*rows[-1].values(), sep="\t", flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("encoders", nargs="*", default=encoders.names())
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("compiled.csv"))
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    rows = [row for name in asked.encoders for row in rows_of(name, asked.turns)]
    write_table(asked.out, rows, list(rows[0]), threads=str(asked.threads), torch=torch.__version__)


if __name__ == "__main__":
    main()
