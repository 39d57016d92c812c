"""What a GPU computes beside the processor: values of every encoder and method, the time of a step, memory.

    python benchmarks/gpu.py [--encoders stgcn ctrgcn …] [--methods cmd c2vl …] [--batch 64] [--repeats 10]
        [--compile] [--out benchmarks/gpu.csv]

Encoders of default size read generated clips of 25 joints, 64 frames and two persons; methods take a step of
their general recipes on generated clips and prompts. "loss" and "gradient" are relative differences,
‖GPU - CPU‖ / ‖CPU‖, in float32 without TF32: of a method's first step, or of the mean square of an encoder's
features. A time is the median of --repeats training steps by the clock: of the processor in float32, of the
GPU in float32, in bf16 and, with --compile, in bf16 compiled; GB are the most memory that float32 and bf16
took. An encoder's step is forward and backward; a method's has augmentation and optimiser too.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from prepare import write_table

import kinelex
from kinelex.data import (
    ClipPrompts,
    ModalityPrompts,
    PromptMeta,
    PromptStoreWriter,
    Sequence,
    SkeletonStoreWriter,
    StoreMeta,
    open_store,
)
from kinelex.methods import method_class
from kinelex.skeleton import get_layout
from kinelex.training.build import build_module
from kinelex.training.recipe import find_recipe, resolve


class Encoder:
    """An encoder that makes its features small."""

    def __init__(self, name: str, batch: int) -> None:
        torch.manual_seed(0)
        self.model, self.clips = kinelex.create_encoder(name, layout="ntu25"), batch
        self.x = torch.randn(batch, 3, 64, 25, 2)

    def to(self, device: str) -> Encoder:
        """The same with a copy of the weights elsewhere."""
        other = copy.copy(self)
        other.model, other.x = copy.deepcopy(self.model).to(device), self.x.to(device)
        return other

    def loss(self) -> torch.Tensor:
        """Mean square of the features."""
        return self.model(self.x).float().square().mean()

    def update(self) -> None:
        """Gradients alone are what counts here."""
        self.model.zero_grad()

    def compile(self) -> None:
        """Compile the encoder."""
        self.model.compile()


class Method:
    """A general recipe's training, step by step."""

    def __init__(self, name: str, store: Any, prompts: Path) -> None:
        recipe = resolve(*find_recipe(name), ["training.precision=32-true", "training.placement=memory"])
        given = prompts if method_class(name).needs_prompts else None
        module = build_module(recipe, store, np.arange(len(store)), given)
        self.model, self.clips = module, module.loader.batch_size
        self.start("cpu")

    def start(self, device: str) -> None:
        """Put the weights where they are to be, with an optimiser and clips of their own."""
        self.model.to(device)
        self.optimizer = self.model.configure_optimizers()["optimizer"]
        self.model.method.on_epoch_start(0, 1)
        self.batch = self.model.loader.batch(self.model.loader.order(0)[: self.clips]).to(device)

    def to(self, device: str) -> Method:
        """The same with a copy of the weights elsewhere."""
        other = copy.copy(self)
        other.model = copy.deepcopy(self.model)
        other.start(device)
        return other

    def loss(self) -> torch.Tensor:
        """What a training step minimises."""
        return self.model.training_step(self.batch, 0)

    def update(self) -> None:
        """The optimiser's step."""
        self.optimizer.step()
        self.optimizer.zero_grad()

    def compile(self) -> None:
        """Compile the encoders."""
        for encoder in self.model.method.encoders.values():
            encoder.compile()


def values(one: Encoder | Method) -> tuple[torch.Tensor, torch.Tensor]:
    """Loss and gradient of a step."""
    loss = one.loss()
    loss.backward()
    gradient = torch.cat([p.grad.flatten().cpu() for p in one.model.parameters() if p.grad is not None])
    one.model.zero_grad()
    return loss.detach().cpu(), gradient


def differ(found: torch.Tensor, known: torch.Tensor) -> str:
    """Relative difference."""
    return f"{float((found - known).norm() / known.norm()):.1e}"


def milliseconds(one: Encoder | Method, device: str, bf16: bool, repeats: int) -> tuple[float, float]:
    """The median time of a step, and the gigabytes of the device that it took."""
    seconds = []
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    for _ in range(3 + repeats):
        start = time.perf_counter()
        with torch.autocast(device, torch.bfloat16, enabled=bf16):
            loss = one.loss()
        loss.backward()
        one.update()
        if device == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    peak = torch.cuda.max_memory_allocated() / 1e9 if device == "cuda" else 0.0
    return round(1e3 * statistics.median(seconds[3:]), 1), round(peak, 2)


def row(what: str, one: Encoder | Method, given: argparse.Namespace) -> dict[str, object]:
    """Values and times of one encoder or method."""
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    there = one.to("cuda")
    (known, slope), (found, found_slope) = values(one), values(there)
    result: dict[str, object] = {"what": what, "clips": one.clips}
    result |= {"loss": differ(found, known), "gradient": differ(found_slope, slope)}
    torch.backends.cudnn.allow_tf32 = True  # torch's own default
    result["CPU ms"] = milliseconds(one, "cpu", False, 3)[0]
    result["float32 ms"], result["float32 GB"] = milliseconds(there, "cuda", False, given.repeats)
    result["bf16 ms"], result["bf16 GB"] = milliseconds(there, "cuda", True, given.repeats)
    if given.compile:
        there.compile()
        result["bf16, compiled ms"] = milliseconds(there, "cuda", True, given.repeats)[0]
    return result


def generate(folder: Path, clips: int) -> tuple[Any, Path]:
    """A store of clips, and prompts of both kinds for it."""
    rng, path, prompts = np.random.default_rng(0), folder / "clips.arrow", folder / "prompts.arrow"
    with SkeletonStoreWriter(path, StoreMeta("generated", get_layout("ntu25"), ("a", "b", "c"))) as writer:
        for i in range(clips):
            x = rng.normal(0, 0.4, (1, 1, 25, 3)) + 0.01 * rng.normal(size=(90, 1, 25, 3)).cumsum(axis=0)
            writer.add(Sequence(f"c{i}", np.float32(x), label=i % 3))
    store = open_store(path)
    meta = PromptMeta("generated", store.fingerprint, {}, {"language": 384, "vision": 512})
    frames = np.arange(0, 90, 30)
    with PromptStoreWriter(prompts, meta) as writer:
        for i in range(clips):
            words, looks = (rng.normal(size=(3, width)).astype(np.float32) for width in meta.widths.values())
            about = {"boxes": np.zeros((3, 4), np.float32), "flags": np.zeros(3, bool)}
            said = ModalityPrompts(frames, words, texts=["a clip"] * 3)
            writer.add(ClipPrompts(f"c{i}", said, ModalityPrompts(frames, looks, **about)))
    return store, prompts


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--encoders", nargs="*", default=kinelex.list_encoders())
    parser.add_argument("--methods", nargs="*", default=kinelex.list_methods())
    parser.add_argument("--batch", type=int, default=64, help="clips that an encoder reads")
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".csv"))
    given = parser.parse_args()
    rows: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory() as folder:
        store, prompts = generate(Path(folder), 128)
        made = [(f"encoder {name}", lambda name=name: Encoder(name, given.batch)) for name in given.encoders]
        made += [(f"method {name}", lambda name=name: Method(name, store, prompts)) for name in given.methods]
        for what, make in made:
            rows.append(row(what, make(), given))
            print(rows[-1], file=sys.stderr, flush=True)
    more = {"torch": torch.__version__, "gpu": torch.cuda.get_device_name()}
    write_table(given.out, rows, list(rows[0]), **more)


if __name__ == "__main__":
    main()
