"""How fast CTR-GCN's training and evaluation steps are, against a plain implementation of the paper.

    python benchmarks/ctrgcn.py [--batch 16] [--frames 64] [--layout ntu25] [--persons 1] [--repeats 5]
        [--threads 1] [--device cpu] [--precision float32 bf16] [--compile] [--out benchmarks/ctrgcn.csv]

The plain way is what one writes down from the paper: in each graph convolution a Python loop over three
subsets, with three convolutions each, and an einsum; four branches over time one after another; frames before
joints. It takes the same weights, and the largest difference of the features is in the table.

train: forward, cross entropy, backward, SGD with momentum. evaluate: forward without gradients. Both ways
take turns; a time is the median of the repeats, after one turn that does not count. On one CPU thread the
processor time counts, which other programs lengthen less; otherwise the time on the clock. --compile compiles
both ways with torch.compile.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from prepare import write_table
from torch import Tensor, nn
from torch.nn import functional as F

from kinelex import encoders
from kinelex.encoders.published.ctrgcn import published_to_encoder
from kinelex.skeleton import SkeletonLayout, get_layout, spatial_subsets

CLASSES = 60
WIDTHS = (64, 64, 64, 64, 128, 128, 128, 256, 256, 256)


class PlainGraph(nn.Module):
    """One subset: a topology for each clip and channel, made from embeddings of every frame."""

    def __init__(self, width: int, out: int) -> None:
        super().__init__()
        embedding = max(width // 8, 8)
        self.conv1 = nn.Conv2d(width, embedding, 1)
        self.conv2 = nn.Conv2d(width, embedding, 1)
        self.conv3 = nn.Conv2d(width, out, 1)
        self.conv4 = nn.Conv2d(embedding, out, 1)

    def forward(self, x: Tensor, topology: Tensor, alpha: Tensor) -> Tensor:
        one, other = self.conv1(x).mean(dim=2), self.conv2(x).mean(dim=2)
        refined = self.conv4(torch.tanh(one.unsqueeze(3) - other.unsqueeze(2))) * alpha + topology
        return torch.einsum("ncuv,nctv->nctu", refined, self.conv3(x))


class PlainSpace(nn.Module):
    """The sum over the subsets, batch norm and a residual path."""

    def __init__(self, adjacency: Tensor, width: int, out: int) -> None:
        super().__init__()
        self.PA = nn.Parameter(adjacency.clone())
        self.alpha = nn.Parameter(torch.full((1,), 0.5))
        self.convs = nn.ModuleList(PlainGraph(width, out) for _ in range(3))
        self.bn = nn.BatchNorm2d(out)
        self.down: nn.Module = nn.Identity()
        if width != out:
            self.down = nn.Sequential(nn.Conv2d(width, out, 1), nn.BatchNorm2d(out))

    def forward(self, x: Tensor) -> Tensor:
        total = None
        for k in range(3):
            y = self.convs[k](x, self.PA[k], self.alpha)
            total = y if total is None else total + y
        y = self.bn(total)
        y += self.down(x)
        return y.relu_()


class PlainTime(nn.Module):
    """Four branches: two dilated convolutions, a max-pool, a 1×1 convolution."""

    def __init__(self, out: int, stride: int) -> None:
        super().__init__()
        part = out // 4
        self.branches = nn.ModuleList()
        for dilation in (1, 2):
            conv = nn.Conv2d(part, part, (5, 1), (stride, 1), (2 * dilation, 0), (dilation, 1))
            last = nn.Sequential()
            last.add_module("conv", conv)
            last.add_module("bn", nn.BatchNorm2d(part))
            self.branches.append(nn.Sequential(*self.enter(out, part), last))
        pool = nn.MaxPool2d((3, 1), (stride, 1), (1, 0))
        self.branches.append(nn.Sequential(*self.enter(out, part), pool, nn.BatchNorm2d(part)))
        straight = nn.Conv2d(out, part, 1, (stride, 1))
        self.branches.append(nn.Sequential(straight, nn.BatchNorm2d(part)))

    @staticmethod
    def enter(out: int, part: int) -> tuple[nn.Module, ...]:
        """What the first three branches begin with."""
        return nn.Conv2d(out, part, 1), nn.BatchNorm2d(part), nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([branch(x) for branch in self.branches], dim=1)


class PlainResidual(nn.Module):
    """A block's own residual path where width or frames change."""

    def __init__(self, width: int, out: int, stride: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, out, 1, (stride, 1))
        self.bn = nn.BatchNorm2d(out)

    def forward(self, x: Tensor) -> Tensor:
        return self.bn(self.conv(x))


class PlainBlock(nn.Module):
    """Space, then time, with a residual path."""

    def __init__(self, adjacency: Tensor, width: int, out: int, stride: int, first: bool) -> None:
        super().__init__()
        self.first = first
        self.gcn1, self.tcn1 = PlainSpace(adjacency, width, out), PlainTime(out, stride)
        self.residual: nn.Module = nn.Identity()
        if not first and (width != out or stride != 1):
            self.residual = PlainResidual(width, out, stride)

    def forward(self, x: Tensor) -> Tensor:
        y = self.tcn1(self.gcn1(x))
        if not self.first:
            y += self.residual(x)
        return y.relu_()


class PlainCTRGCN(nn.Module):
    """Ten blocks, with the parameters' published names, so that their weights can be taken over."""

    def __init__(self, layout: SkeletonLayout) -> None:
        super().__init__()
        adjacency = torch.from_numpy(spatial_subsets(layout)).float()
        self.data_bn = nn.BatchNorm1d(3 * layout.num_joints)
        for i, out in enumerate(WIDTHS):
            width = WIDTHS[i - 1] if i else 3
            stride = 2 if i and width != out else 1
            self.add_module(f"l{i + 1}", PlainBlock(adjacency, width, out, stride, first=i == 0))

    def forward(self, x: Tensor) -> Tensor:
        n, c, t, v, m = x.shape
        x = x.permute(0, 4, 3, 1, 2).reshape(n * m, v * c, t)
        x = self.data_bn(x).view(n * m, v, c, t).permute(0, 2, 3, 1).contiguous()
        for i in range(len(WIDTHS)):
            x = getattr(self, f"l{i + 1}")(x)
        return x.view(n, m, x.shape[1], -1).mean(dim=3).mean(dim=1)


class Classifier(nn.Module):
    """An encoder, a linear layer, and what one step of each kind is."""

    def __init__(self, encoder: nn.Module, bf16: bool, device: str) -> None:
        super().__init__()
        self.encoder, self.bf16, self.device_type = encoder, bf16, device.split(":")[0]
        self.head = nn.Linear(256, CLASSES)
        self.to(device)
        self.sgd = torch.optim.SGD(self.parameters(), lr=1e-3, momentum=0.9, nesterov=True, weight_decay=4e-4)

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(self.device_type, dtype=torch.bfloat16, enabled=self.bf16):
            return self.head(self.encoder(x)).float()

    def train_step(self, x: Tensor, labels: Tensor) -> None:
        """Forward, backward, SGD."""
        self.train()
        self.sgd.zero_grad()
        F.cross_entropy(self(x), labels).backward()
        self.sgd.step()

    @torch.no_grad()
    def evaluate_step(self, x: Tensor, labels: Tensor) -> Tensor:
        """Forward."""
        return self.eval()(x)


def clock(device: str) -> float:
    """Seconds; see the head of this file."""
    if device != "cpu":
        torch.cuda.synchronize(device)
    elif torch.get_num_threads() == 1:
        return time.process_time()
    return time.perf_counter()


def take_turns(ours: Callable[[], object], plain: Callable[[], object], repeats: int, device: str) -> dict:
    """Median milliseconds of each, the median of the turns' ratios, and the smallest and largest of them."""
    turns = []
    for _ in range(1 + repeats):
        times = [clock(device)]
        for work in (ours, plain):
            work()
            times.append(clock(device))
        turns.append((times[1] - times[0], times[2] - times[1]))
    turns = turns[1:]
    ratios = [b / a for a, b in turns]
    return {
        "ours ms": round(1e3 * statistics.median(a for a, _ in turns), 1),
        "plain ms": round(1e3 * statistics.median(b for _, b in turns), 1),
        "times as fast": round(statistics.median(ratios), 2),
        "from": round(min(ratios), 2),
        "to": round(max(ratios), 2),
    }


def measure(given: argparse.Namespace, precision: str) -> list[dict[str, object]]:
    """The rows of one precision."""
    torch.manual_seed(0)
    layout = get_layout(given.layout)
    plain = PlainCTRGCN(layout)
    for module in plain.modules():  # blocks that do something, from the start
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.0)
    ours = encoders.create("ctrgcn", layout=layout)
    ours.load_state_dict(published_to_encoder(plain.state_dict())[0])
    x = torch.randn(given.batch, 3, given.frames, layout.num_joints, given.persons)
    with torch.no_grad():
        one, other = ours(x), plain(x)  # in training mode: batch norms see the same statistics
    apart = ((one - other).abs().max() / other.abs().max()).item()
    x = x.to(given.device)
    labels = torch.randint(CLASSES, (given.batch,), device=given.device)
    both = [Classifier(encoder, precision == "bf16", given.device) for encoder in (ours, plain)]
    if given.compile:
        for one_way in both:
            one_way.compile()
    rows = []
    for what in ("train", "evaluate"):
        steps = [getattr(one_way, f"{what}_step") for one_way in both]
        times = take_turns(*(lambda s=s: s(x, labels) for s in steps), given.repeats, given.device)
        rows.append({"what": what, "precision": precision, **times, "difference": f"{apart:.0e}"})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--frames", type=int, default=64)
    parser.add_argument("--layout", default="ntu25")
    parser.add_argument("--persons", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", nargs="+", choices=("float32", "bf16"), default=["float32", "bf16"])
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".csv"))
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    rows = [row for precision in given.precision for row in measure(given, precision)]
    more = {name: getattr(given, name) for name in ("batch", "frames", "layout", "persons", "threads")}
    more |= {"compiled": given.compile, "torch": torch.__version__}
    if given.device != "cpu":
        more["device"] = torch.cuda.get_device_name(given.device)
    write_table(given.out, rows, list(rows[0]), **{name: str(value) for name, value in more.items()})


if __name__ == "__main__":
    main()
