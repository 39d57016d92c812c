"""How fast whole training steps and inference are, against the code that the authors published.

    python benchmarks/peers.py --ctr-gcn DIR --cmd DIR --aimclr DIR --hd-gcn DIR --ms-g3d DIR --pyskl DIR
        [--nw-ucla DIR] [--threads 2] [--precision float32 bf16] [--repeats 5] [--clips 32] [--device cpu]
        [--compiled] [--out benchmarks/peers.csv]

Each DIR is a checkout of the authors' repository, whose feeder, network and loss run as they are; one that is
not given is left out. On generated clips of 25 joints, a fifth of them with two persons; with --nw-ucla (the
folder that holds all_sqe) CTR-GCN on N-UCLA too.

step: read a batch, augment, forward, backward, SGD. The published way always in float32, ours in each
--precision; on a GPU, or with --compiled, also compiled, on a GPU with the clips on it. features: of --clips
test clips, prepared as at test time: ours with its own batch, the published loop with the fastest of 4, 16
and 32. one clip: the same of one. All in this process, without workers or logging. For CMD also the published
code with one nn.GRU over whole clips instead of a call per frame.

All ways take turns, after a turn that does not count. A time is the median of the repeats by the clock,
"times as fast" the median of the turns' ratios, "from" and "to" their least and largest; "processor" is the
median ratio of processor time, which other programs lengthen less. "share" is what our steps in float32 reach
of the rate of a product of two large matrices (operations as torch counts them). peers_published.py stands
in for packages that the published code imports and that nothing here needs; HD-GCN needs einops.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import peers_published as published
import torch
from peers_published import Clips, Published, checkout
from prepare import write_table
from torch.utils.flop_counter import FlopCounterMode

from kinelex.data import Sequence, SkeletonStoreWriter, StoreMeta, open_store
from kinelex.data.splits.split import get_split
from kinelex.datasets import prepare
from kinelex.datasets.export import export_data
from kinelex.encoders.gru_cpu import COUNTED
from kinelex.inference.features import extract_features
from kinelex.skeleton import get_layout
from kinelex.training.build import build_module
from kinelex.training.encoder_files import SkeletonEncoder
from kinelex.training.recipe import find_recipe, resolve

CLASSES = 60
HALVES = "random:0.5:0"
WHOLE = "published, nn.GRU over whole clips"
PARTS = ("step", "features", "one clip")
BATCHES = (4, 16, 32)  # of the published loop
Work = Callable[[], object]
Recipe = tuple[str, list[str]]  # name and changes
NTU = "supervised/ntu60"
MOCO = [
    *("streams=joint", "distillation=0", "queue=32768", "transforms=aimclr_normal", "input.persons=2"),
    *("encoder.name=stgcn", "optimizer.lr=0.1"),
]


def generate(folder: Path, clips: int) -> tuple[Any, Clips]:
    """A store of clips like NTU's, half of them to train, and the files of the others."""
    rng, path = np.random.default_rng(0), folder / "clips.arrow"
    names = tuple(f"action {i}" for i in range(CLASSES))
    with SkeletonStoreWriter(path, StoreMeta("generated", get_layout("ntu25"), names)) as writer:
        for i in range(2 * max(clips, CLASSES)):
            frames, persons = int(rng.integers(64, 129)), 1 + (i % 5 == 4)
            still = rng.normal(0, 0.4, (1, persons, 25, 3)) + [0, 0, 3]
            moving = 0.01 * rng.normal(size=(frames, persons, 25, 3)).cumsum(axis=0)
            writer.add(Sequence(f"c{i}", np.float32(still + moving), label=i % CLASSES))
    store = open_store(path)
    for name, kind, frames in (
        ("clips.npz", "ctrgcn_npz", 300),
        *((f"npy{frames}", "npy", frames) for frames in (50, 64, 300)),
        ("clips.pkl", "pyskl", None),
    ):
        export_data(store, kind, folder / name, protocol=HALVES, frames=frames, progress=False)
    padded = {frames: folder / f"npy{frames}" for frames in (50, 64, 300)}
    return store, Clips(folder / "clips.npz", padded, folder / "clips.pkl", HALVES, CLASSES)


class Ours:
    """What a recipe trains, step by step, and its features."""

    def __init__(self, given: argparse.Namespace, store: Any, protocol: str, recipe: Recipe) -> None:
        name, changes = recipe
        self.given = given, store, protocol, recipe
        on_device = ["training.placement=device"] if given.device != "cpu" else []
        settings = [*changes, "training.precision=32-true", *on_device]
        self.split, self.store, self.device = get_split(store, protocol), store, given.device
        self.module = build_module(resolve(*find_recipe(name), settings), store, self.split.train, None)
        self.module.to(self.device)
        self.optimizer = self.module.configure_optimizers()["optimizer"]
        self.batches = enumerate(endless(self.module.loader))
        self.kind = torch.device(self.device).type

    def compile(self) -> Ours:
        """Compile the encoders, on a GPU into CUDA graphs."""
        for encoder in self.module.method.encoders.values():
            encoder.compile(mode="reduce-overhead")
        return self

    def step(self, precision: str) -> None:
        """One training step."""
        number, batch = next(self.batches)
        with torch.autocast(self.kind, torch.bfloat16, enabled=precision == "bf16"):
            loss = self.module.training_step(batch.to(self.device), number)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()

    def operations(self) -> int:
        """Of a training step."""
        with FlopCounterMode(display=False, custom_mapping=COUNTED) as counter:
            self.step("float32")
        return counter.get_total_flops()

    def features(self, clips: int) -> np.ndarray:
        """Features of test clips."""
        encoder = next(iter(self.module.method.encoders.values()))
        whole = SkeletonEncoder(encoder, self.module.pipeline)
        return extract_features(whole, self.store, self.split.test[:clips], device=self.device)


class Theirs:
    """The same of published code."""

    def __init__(self, published: Published, batch: int) -> None:
        self.published = published
        settings: dict[str, Any] = {"batch_size": batch, "shuffle": True, "drop_last": True}
        self.batches = endless(torch.utils.data.DataLoader(published.train, **settings))
        parameters = [p for p in published.network.parameters() if p.requires_grad]
        self.optimizer = torch.optim.SGD(parameters, **published.sgd)

    def step(self) -> None:
        """One training step."""
        self.published.network.train()
        loss = self.published.loss(next(self.batches))
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()

    @torch.no_grad()
    def features(self, clips: int, batch: int) -> np.ndarray:
        """What its evaluation takes from test clips."""
        self.published.network.eval()
        test = torch.utils.data.Subset(self.published.test, range(clips))
        loader = torch.utils.data.DataLoader(test, batch)
        return np.concatenate([self.published.embed(one).cpu().numpy() for one in loader])


def endless(loader: Iterable[Any]) -> Iterator[Any]:
    """One epoch after another."""
    for epoch in itertools.count():
        if hasattr(loader, "set_epoch"):
            loader.set_epoch(epoch)
        yield from loader


def timed(work: Work, device: str) -> tuple[float, float]:
    """Seconds by the clock and of the processor."""
    start = time.perf_counter(), time.process_time()
    work()
    if device != "cpu":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start[0], time.process_time() - start[1]


@cache
def peak(device: str, size: int = 4096) -> float:
    """Operations a second of a large float32 product."""
    x = torch.randn(size, size, device=device)
    return 2 * size**3 / min(timed(lambda: x @ x, device)[0] for _ in range(5))


def take_turns(ways: dict[str, Work], theirs: Work, repeats: int, device: str) -> Iterator[dict[str, object]]:
    """A row for each way but the published: medians, ratios of each turn, their spread."""
    works = {"": theirs, **ways}
    turns = [{name: timed(work, device) for name, work in works.items()} for _ in range(1 + repeats)][1:]
    for name in ways:
        ratios = [turn[""][0] / turn[name][0] for turn in turns]
        yield {
            "way": name,
            "ms": round(1e3 * statistics.median(turn[name][0] for turn in turns), 1),
            "published ms": round(1e3 * statistics.median(turn[""][0] for turn in turns), 1),
            "times as fast": round(statistics.median(ratios), 2),
            "from": round(min(ratios), 2),
            "to": round(max(ratios), 2),
            "processor": round(statistics.median(turn[""][1] / turn[name][1] for turn in turns), 2),
        }


def compare(
    given: argparse.Namespace, what: str, ours: Ours, theirs: Theirs, other: Theirs | None = None
) -> Iterator[dict[str, object]]:
    """The rows of one publication: a step, features of all test clips, features of one."""
    ways: dict[str, Work] = {p: lambda p=p: ours.step(p) for p in given.precision}
    if given.device != "cpu" or given.compiled:
        compiled = Ours(*ours.given).compile()
        ways |= {f"{p}, compiled": lambda p=p: compiled.step(p) for p in given.precision}
    if other is not None:
        ways[WHOLE] = other.step
    if "step" in given.parts:
        batch = ours.module.loader.batch_size
        most = ours.operations() / peak(given.device)  # seconds that a step would take at that rate
        for row in take_turns(ways, theirs.step, given.repeats, given.device):
            share = {"share": round(1e3 * most / float(row["ms"]), 2)} if row["way"] == "float32" else {}
            yield {"what": what, "part": "step", "clips": batch, **row, **share}
    for part, clips, batches in (("features", given.clips, BATCHES), ("one clip", 1, (1,))):
        if part not in given.parts:
            continue
        best = min(batches, key=lambda b, n=clips: timed(lambda: theirs.features(n, b), given.device))
        ways = {"float32": lambda n=clips: ours.features(n)}
        if other is not None:
            ways[WHOLE] = lambda n=clips, b=best: other.features(n, b)
        repeats = given.repeats * (4 if clips == 1 else 1)
        for row in take_turns(ways, lambda n=clips, b=best: theirs.features(n, b), repeats, given.device):
            yield {"what": what, "part": part, "clips": clips, **row, "published batch": best}


# option: (what, recipe, changes, clips of a step, the published way, another way of the same)
Peer = tuple[str, str, list[str], int, Callable[..., Published], Callable[..., Published] | None]
PEERS: dict[str, list[Peer]] = {
    "ctr_gcn": [("CTR-GCN", NTU, [], 8, published.ctr_gcn, None)],
    "cmd": [
        (f"CMD, hidden {h}", "cmd/ntu60", [f"hidden={h}"], clips, way, partial(way, whole=True))
        for h, clips, way in (
            (256, 16, partial(published.cmd, hidden=256)),
            (1024, 16, partial(published.cmd, hidden=1024)),
        )
    ],
    "aimclr": [("SkeletonCLR", "cmd/ntu60", MOCO, 32, published.skeleton_clr, None)],
    "hd_gcn": [("HD-GCN", NTU, ["encoder.name=hdgcn"], 4, published.hd_gcn, None)],
    "ms_g3d": [("MS-G3D", NTU, ["encoder.name=msg3d"], 4, published.ms_g3d, None)],
    "pyskl": [("ST-GCN++", "supervised/pyskl_3d", [], 8, published.st_gcn_pp, None)],
}


def measure(given: argparse.Namespace, folder: Path) -> Iterator[dict[str, object]]:
    """All rows."""
    store, clips = generate(folder, given.clips)
    for option, peers in PEERS.items():
        for what, recipe, changes, batch, way, other in peers if getattr(given, option) else ():
            with checkout(getattr(given, option), given.device):
                theirs, beside = (w and Theirs(w(clips, given.device), batch) for w in (way, other))
                ours = Ours(given, store, HALVES, (recipe, [*changes, f"batch_size={batch}"]))
                yield from compare(given, what, ours, theirs, beside)
    if given.ctr_gcn and given.nw_ucla:
        prepare("nw_ucla", given.nw_ucla, folder / "nw_ucla.arrow", progress=False)
        (folder / "data").mkdir()
        (folder / "data" / "NW-UCLA").symlink_to(given.nw_ucla.resolve())
        with checkout(given.ctr_gcn, given.device):
            theirs = Theirs(published.ctr_gcn_ucla(folder, given.device), 16)
            recipe = "supervised/nw_ucla_published", []
            ours = Ours(given, open_store(folder / "nw_ucla.arrow"), "xview", recipe)
            yield from compare(given, "CTR-GCN on N-UCLA", ours, theirs)


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for option in (*PEERS, "nw_ucla"):
        parser.add_argument(f"--{option.replace('_', '-')}", type=Path, metavar="DIR")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--precision", nargs="+", choices=("float32", "bf16"), default=["float32", "bf16"])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--clips", type=int, default=32, help="of which features are taken")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--compiled", action="store_true", help="compile steps on a processor, too")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".csv"))
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    kind = torch.backends.cpu.get_cpu_capability() + " with bf16" * torch.cpu._is_avx512_bf16_supported()
    more = {"threads": str(given.threads), "torch": torch.__version__, "instructions": kind}
    if given.device != "cpu":
        more["device"] = torch.cuda.get_device_name(given.device)
    rows: list[dict[str, object]] = []
    try:
        with tempfile.TemporaryDirectory() as folder:
            for row in measure(given, Path(folder)):
                print(row, file=sys.stderr, flush=True)
                rows.append(row)
    finally:  # an interruption keeps what was measured
        names = list(dict.fromkeys(name for row in rows for name in row))
        write_table(given.out, rows, names, **more)


if __name__ == "__main__":
    main()
