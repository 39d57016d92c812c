"""How fast CMD's encoder and its training step are, against the published way of computing them.

    python benchmarks/cmd.py [--hidden 256 1024] [--batch 64] [--frames 64] [--repeats 4] [--threads 1]
        [--device cpu] [--rows encoder step full] [--out benchmarks/cmd.csv]

encoder: forward and backward of one encoder, against a bidirectional GRU that is fed one frame at a time and
carries its state, with the same weights; in float32 and under bf16 autocast.
step: one training step (forward, backward, SGD) without distillation, against three streams one after
another, each with its own queue and optimiser.
full: the same with distillation, against a loop over the six pairs of streams that gathers the neighbours'
similarities.

Both sides of a row take turns; a time is the median of the repeats, after one turn that does not count.
Widths above 256 are repeated less often (repeats · 256 / hidden, the encoder at least 3 times); a single
repeat has no turn before it. On one CPU thread the processor time counts, which other programs do not
lengthen; otherwise the time on the clock. Both encoders do equally many multiplications, in float32 through
different libraries: how far apart they are there depends on the processor.
"""

from __future__ import annotations

import argparse
import csv
import datetime
import itertools
import platform
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kinelex import encoders
from kinelex.data.batch import Batch
from kinelex.encoders.gru import RecurrentEncoder
from kinelex.losses import enqueue
from kinelex.methods import CMD

STREAMS = ("joint", "motion", "bone")
ROWS = ("encoder", "step", "full")
NOTHING = Batch(torch.empty(0), torch.empty(0), torch.empty(0))  # CMD reads nothing from the batch


class FrameByFrame(nn.Module):
    """The published way: a bidirectional GRU sees one frame at a time, its state goes on to the next."""

    def __init__(self, encoder: RecurrentEncoder) -> None:
        super().__init__()
        hidden, layers = encoder.num_features // 2, len(encoder.recurrent.first)
        self.input_norm = encoder.input_norm
        self.gru = nn.GRU(len(encoder.input_norm.weight), hidden, layers, bidirectional=True)
        with torch.no_grad():
            for layer in range(layers):
                pair = encoder.recurrent.first[layer], encoder.recurrent.second[layer]
                for gru, way in zip(pair, ("", "_reverse"), strict=True):
                    for name, value in gru.named_parameters():
                        getattr(self.gru, name.removesuffix("0") + f"{layer}{way}").copy_(value)

    def forward(self, x: Tensor) -> Tensor:
        frames = x.permute(0, 3, 1, 4, 2).flatten(1, 3)  # (N, V·C·M, T)
        frames = self.input_norm(frames).permute(2, 0, 1)
        state = None
        for frame in frames:
            output, state = self.gru(frame[None], state)
        return output[0]


class OneAfterAnother:
    """Three streams on their own; with distillation, then one pair of streams after another."""

    def __init__(self, make: Callable[[tuple[str, ...]], CMD], top_k: int, distillation: bool) -> None:
        self.methods = [make((stream,)) for stream in STREAMS]
        self.top_k, self.distillation = top_k, distillation
        self.optimizers = [optimizer(method) for method in self.methods]

    def step(self, x: Tensor) -> None:
        if not self.distillation:
            for method, sgd in zip(self.methods, self.optimizers, strict=True):
                train(method, sgd, x)
            return
        loss, negatives, neighbours, targets = x.new_zeros(()), [], [], []
        for method in self.methods:
            queue = method.queue[0].clone()
            first, second = x.chunk(2)
            query = method._embed(method.query, first)[0]
            with torch.no_grad():
                method._follow()
                key = method._embed(method.key, second)[0]
                values, slots = (key @ queue).topk(self.top_k, dim=1)
                targets.append((values / 0.05).softmax(dim=1))
                neighbours.append(slots)
            negatives.append(query @ queue)
            logits = torch.cat([(query * key).sum(dim=1, keepdim=True), negatives[-1]], dim=1) / 0.07
            loss = loss + F.cross_entropy(logits, torch.zeros(len(query), dtype=torch.long, device=x.device))
            enqueue(method.queue, method.pointer, key[None])
        for u, w in itertools.permutations(range(len(STREAMS)), 2):
            predicted = (negatives[w].gather(1, neighbours[u]) / 0.1).log_softmax(dim=1)
            loss = loss + F.kl_div(predicted, targets[u], reduction="batchmean")
        for sgd in self.optimizers:
            sgd.zero_grad()
        loss.backward()
        for sgd in self.optimizers:
            sgd.step()


def optimizer(method: CMD) -> torch.optim.Optimizer:
    """The paper's."""
    return torch.optim.SGD(method.trained_parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4)


def train(method: CMD, sgd: torch.optim.Optimizer, x: Tensor) -> None:
    """One training step."""
    loss, _ = method(x, NOTHING, torch.Generator())
    sgd.zero_grad()
    loss.backward()
    sgd.step()


def clock(device: torch.device) -> float:
    """Seconds; see the head of this file."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif torch.get_num_threads() == 1:
        return time.process_time()
    return time.perf_counter()


def take_turns(
    ours: Callable[[], object], other: Callable[[], object], repeats: int, device: torch.device
) -> dict[str, object]:
    """Median seconds of each and the median of the turns' ratios."""
    turns: list[list[float]] = []
    warm_up = int(repeats > 1)
    for _ in range(warm_up + repeats):
        turn = []
        for work in (ours, other):
            start = clock(device)
            work()
            turn.append(clock(device) - start)
        turns.append(turn)
    one, two = zip(*turns[warm_up:], strict=True)
    return {
        "repeats": repeats,
        "ours_s": round(statistics.median(one), 4),
        "other_s": round(statistics.median(two), 4),
        "ratio": round(statistics.median(b / a for a, b in turns[warm_up:]), 2),
    }


def learn(encoder: nn.Module, x: Tensor, bf16: bool) -> None:
    """Forward and backward."""
    with torch.autocast(x.device.type, dtype=torch.bfloat16, enabled=bf16):
        features = encoder(x)
    features.float().sum().backward()


def measure_encoder(hidden: int, x: Tensor, repeats: int) -> Iterator[dict[str, object]]:
    """The rows ``encoder`` of one width."""
    encoder = encoders.create("gru", hidden=hidden).to(x.device)
    assert isinstance(encoder, RecurrentEncoder)
    looped = FrameByFrame(encoder).to(x.device)
    for precision in ("float32", "bf16"):
        bf16 = precision == "bf16"
        with torch.no_grad(), torch.autocast(x.device.type, dtype=torch.bfloat16, enabled=bf16):
            apart = (encoder(x).float() - looped(x).float()).abs().max().item()
        times = take_turns(
            lambda bf16=bf16: learn(encoder, x, bf16),
            lambda bf16=bf16: learn(looped, x, bf16),
            repeats,
            x.device,
        )
        yield {"what": "encoder", "precision": precision, **times, "largest_difference": f"{apart:.1e}"}


def measure_step(hidden: int, x: Tensor, queue: int, full: bool, repeats: int) -> dict[str, object]:
    """The row ``step`` or ``full`` of one width."""

    def build(streams: tuple[str, ...]) -> CMD:
        make = partial(encoders.create, "gru", hidden=hidden)
        return CMD(make, streams, queue=queue, top_k=queue // 2, distillation=float(full)).to(x.device)

    views = torch.cat([x, x + 0.1 * torch.randn_like(x)])
    together, alone = build(STREAMS), OneAfterAnother(build, queue // 2, full)
    sgd = optimizer(together)
    times = take_turns(lambda: train(together, sgd, views), lambda: alone.step(views), repeats, x.device)
    return {"what": "full" if full else "step", "precision": "float32", **times, "largest_difference": ""}


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--hidden", type=int, nargs="+", default=[256, 1024])
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--frames", type=int, default=64)
    parser.add_argument("--queue", type=int, default=16384)
    parser.add_argument("--repeats", type=int, default=4)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=ROWS)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/cmd.csv"))
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    torch.manual_seed(0)
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
    hardware = f"{platform.machine()}, threads: {given.threads}"
    if given.device != "cpu":
        hardware = torch.cuda.get_device_name(given.device)
    about = {
        "date": datetime.date.today().isoformat(),
        "commit": commit.stdout.strip(),
        "hardware": f"{hardware}, torch {torch.__version__}",
        "batch": given.batch,
        "frames": given.frames,
    }
    rows = []
    x = torch.randn(given.batch, 3, given.frames, 25, 2, device=given.device)
    for hidden in given.hidden:
        repeats = max(1, given.repeats * 256 // max(hidden, 256))
        for row in itertools.chain(
            measure_encoder(hidden, x, max(3, repeats)) if "encoder" in given.rows else (),
            (
                measure_step(hidden, x, given.queue, what == "full", repeats)
                for what in ("step", "full")
                if what in given.rows
            ),
        ):
            print(f"hidden={hidden}", *(f"{k}={v}" for k, v in row.items()), flush=True)
            rows.append({**about, "hidden": hidden, **row})
    with open(given.out, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
