"""The authors' published code as benchmarks/peers.py runs it, imported from checkouts; none of it is here.

In packages that it imports and that nothing here needs any name is there; on a CPU ``.cuda()`` does nothing.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.abc
import importlib.machinery
import os
import pickle
import sys
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import Dataset

ABSENT = ("torchvision", "tensorboardX", "mmcv", "fvcore", "h5py", "decord")


@dataclass
class Published:
    """A network with its clips: ``loss`` and ``embed`` take a batch of the training and of the test clips."""

    network: nn.Module
    train: Dataset[Any]
    test: Dataset[Any]
    loss: Callable[[Any], Tensor]
    embed: Callable[[Any], Tensor]
    sgd: dict[str, Any]


@dataclass
class Clips:
    """The generated clips in the files that the published feeders read."""

    npz: Path
    padded: dict[int, Path]  # folders of .npy by their frames
    pickle: Path
    protocol: str
    classes: int


class _Anything(types.ModuleType):
    """A module in which every name is there."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return MagicMock(name=name)


class _StandIns(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds :data:`ABSENT` packages and their modules."""

    def find_spec(self, name: str, path: Any, target: Any = None) -> Any:
        found = name.partition(".")[0] in ABSENT
        return importlib.machinery.ModuleSpec(name, self, is_package=True) if found else None

    def create_module(self, spec: Any) -> types.ModuleType:
        return _Anything(spec.name)

    def exec_module(self, module: types.ModuleType) -> None:  # what mmcv builds networks with
        registry = types.SimpleNamespace(register_module=lambda: lambda kind: kind)
        made: dict[str, dict[str, Any]] = {
            "mmcv.cnn": {
                "build_norm_layer": lambda kind, width: ("bn", nn.BatchNorm2d(width)),
                "build_activation_layer": lambda kind: nn.ReLU(),
            },
            "mmcv.utils": {
                "Registry": lambda *_, **__: registry,
                "_BatchNorm": nn.modules.batchnorm._BatchNorm,
            },
        }
        vars(module).update(made.get(module.__name__, {}))


@contextlib.contextmanager
def checkout(folder: Path, device: str) -> Iterator[None]:
    """Inside, ``import`` finds the modules of a checkout; after it they are forgotten."""
    before, path, cuda = set(sys.modules), list(sys.path), (nn.Module.cuda, Tensor.cuda, Tensor.get_device)
    finder, rand = _StandIns(), np.random.rand
    sys.path[:0] = [str(folder), str(folder / "torchlight")]  # where AimCLR has its library
    sys.meta_path.append(finder)
    if device == "cpu":
        nn.Module.cuda = Tensor.cuda = lambda self, *_, **__: self  # type: ignore[method-assign,assignment]
        Tensor.get_device = lambda self: self.device  # type: ignore[method-assign,assignment,return-value]
    np.random.rand = lambda *shape: rand() if shape == (1,) else rand(*shape)  # int([x]) fails since
    if not hasattr(np, "int"):  # nor is this
        setattr(np, "int", int)  # noqa: B010
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        sys.path[:] = path
        sys.meta_path.remove(finder)
        np.random.rand = rand
        nn.Module.cuda, Tensor.cuda, Tensor.get_device = cuda  # type: ignore[method-assign]
        for name in sorted(set(sys.modules) - before, reverse=True):  # a package's path asks for its parent
            module = sys.modules[name]
            places = [getattr(module, "__file__", None) or "", *getattr(module, "__path__", [])]
            if isinstance(module, _Anything) or any(p.startswith(str(folder)) for p in places):
                del sys.modules[name]


def _bare(*packages: str) -> None:
    """Take packages without their __init__, which imports what is not needed, or not there."""
    for name in packages:
        sys.modules[name] = types.ModuleType(name)
        sys.modules[name].__path__ = [os.path.join(sys.path[0], *name.split("."))]


def _get(name: str) -> Any:
    """A class by its dotted name."""
    module, _, attribute = name.rpartition(".")
    return getattr(importlib.import_module(module), attribute)


def _classifier(network: nn.Module, train: Any, test: Any, weight_decay: float, lr: float = 0.1) -> Published:
    """A network that gives scores of clips, whose feeders give (clip, label, …)."""
    device = next(network.parameters()).device

    def loss(batch: Any) -> Tensor:
        return F.cross_entropy(network(batch[0].float().to(device)), batch[1].long().to(device))

    def embed(batch: Any) -> Tensor:
        return network(batch[0].float().to(device))

    sgd = {"lr": lr, "momentum": 0.9, "nesterov": True, "weight_decay": weight_decay}
    return Published(network, train, test, loss, embed, sgd)


def _on_npz(clips: Clips, device: str, model: str, graph: str, **graph_args: Any) -> Published:
    """CTR-GCN and HD-GCN, as their configurations for NTU have them."""
    feeder, args = _get("feeders.feeder_ntu.Feeder"), {"labeling_mode": "spatial", **graph_args}
    train = feeder(str(clips.npz), split="train", window_size=64, random_rot=True, p_interval=[0.5, 1])
    test = feeder(str(clips.npz), split="test", window_size=64, p_interval=[0.95])
    network = _get(model)(num_class=clips.classes, num_point=25, num_person=2, graph=graph, graph_args=args)
    return _classifier(network.to(device), train, test, 0.0004)


def ctr_gcn(clips: Clips, device: str) -> Published:
    """CTR-GCN on NTU."""
    return _on_npz(clips, device, "model.ctrgcn.Model", "graph.ntu_rgb_d.Graph")


def hd_gcn(clips: Clips, device: str) -> Published:
    """HD-GCN on NTU, around the chest, the joint stream."""
    _bare("graph")
    _get("graph.ntu_rgb_d_hierarchy.Graph")
    return _on_npz(clips, device, "model.HDGCN.Model", "graph.ntu_rgb_d_hierarchy.Graph", CoM=21)


def ctr_gcn_ucla(folder: Path, device: str) -> Published:
    """CTR-GCN on N-UCLA, whose feeder finds data/NW-UCLA/all_sqe in ``folder``."""
    feeder, args = _get("feeders.feeder_ucla.Feeder"), {"labeling_mode": "spatial"}
    with contextlib.chdir(folder):
        train = feeder("joint", "train", repeat=5, random_choose=True, window_size=52)
        test = feeder("joint", "val")
    settings = {"num_class": 10, "num_point": 20, "num_person": 1, "graph_args": args}
    network = _get("model.ctrgcn.Model")(graph="graph.ucla.Graph", **settings)
    return _classifier(network.to(device), train, test, 0.0001)


def ms_g3d(clips: Clips, device: str) -> Published:
    """MS-G3D on NTU, but 64 frames instead of 300."""
    feeder, folder = _get("feeders.feeder.Feeder"), clips.padded[64]
    train, test = (
        feeder(str(folder / f"{part}_position.npy"), str(folder / f"{part}_label.pkl"))
        for part in ("train", "val")
    )
    settings = {"num_class": clips.classes, "num_point": 25, "num_person": 2}
    scales = {"num_gcn_scales": 13, "num_g3d_scales": 6, "graph": "graph.ntu_rgb_d.AdjMatrixGraph"}
    network = _get("model.msg3d.Model")(**settings, **scales)
    return _classifier(network.to(device), train, test, 0.0005, lr=0.05)


def cmd(clips: Clips, device: str, hidden: int, whole: bool = False) -> Published:
    """CMD's pre-training on NTU; ``whole``: nn.GRU sees whole clips at once, instead of frame by frame."""
    folder, kind = clips.padded[300], "graph-based"
    train = _get("feeder.feeder_pretraining_intra.Feeder")(
        folder / "train_position.npy", folder / "train_num_frame.npy", [0.1, 1], 64, kind
    )
    files = [str(folder / f"val_{name}") for name in ("position.npy", "label.pkl", "num_frame.npy")]
    test = _get("feeder.feeder_downstream.Feeder")(*files, [0.95], 64, kind)
    sizes = {"en_input_size": 150, "en_hidden_size": hidden, "en_num_layers": 3, "num_class": 128}
    method = _get("moco.builder_cmd.MoCo")
    network = method(kind, sizes, 128, 16384, 0.999, 0.07, 0.05, 0.1, 1.0, 8192, True).to(device)
    for encoder in (m for m in network.modules() if type(m).__name__ == "EncoderRNN" and whole):
        encoder.forward = lambda x, _, gru=encoder.gru: gru(x)[0][None, :, -1]  # type: ignore[method-assign]

    def loss(batch: Any) -> Tensor:
        *logits, target, distillation = network(*(view.float().to(device) for view in batch))
        return sum((F.cross_entropy(scores, target) for scores in logits), distillation)

    def embed(batch: Any) -> Tensor:
        x = batch[0].float().to(device).permute(0, 2, 3, 1, 4)
        return network.encoder_q(x.reshape(*x.shape[:2], -1), True)

    return Published(network, train, test, loss, embed, {"lr": 0.01, "momentum": 0.9, "weight_decay": 1e-4})


def skeleton_clr(clips: Clips, device: str) -> Published:
    """SkeletonCLR in AimCLR's repository: its ST-GCN, both views of AimCLR's plain augmentation."""
    folder, feeder = clips.padded[50], _get("feeder.ntu_feeder.Feeder_single")
    train, test = (
        feeder(str(folder / f"{part}_position.npy"), str(folder / f"{part}_label.pkl"), *augmentation)
        for part, augmentation in (("train", (0.5, 6)), ("val", (-1, -1)))
    )
    network = _get("net.skeletonclr.SkeletonCLR")("net.st_gcn.Model", hidden_channels=16).to(device)
    if device == "cpu":  # its own asks a tensor on a GPU for the number of that GPU
        network._dequeue_and_enqueue = lambda keys: network.queue[:, : len(keys)].copy_(keys.T)

    def loss(batch: Any) -> Tensor:
        logits, target = network(*(view.float().to(device) for view in batch))
        return F.cross_entropy(logits, target)

    def embed(batch: Any) -> Tensor:
        return network.encoder_q(batch[0].float().to(device))

    sgd = {"lr": 0.1, "momentum": 0.9, "weight_decay": 1e-4}
    return Published(network, TwoViews(train), test, loss, embed, sgd)


class TwoViews(Dataset[Any]):  # each clip of a feeder twice, augmented anew
    def __init__(self, clips: Any) -> None:
        self.clips = clips

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        return self.clips[index][0], self.clips[index][0]


def st_gcn_pp(clips: Clips, device: str) -> Published:
    """ST-GCN++ on 3-D joints of NTU; its head, a mean and a linear layer, is written here."""
    datasets = "pyskl.datasets", "pyskl.datasets.pipelines"
    _bare("pyskl", "pyskl.models", "pyskl.models.gcns", *datasets)
    graph = {"layout": "nturgb+d", "mode": "spatial"}
    settings = {"gcn_adaptive": "init", "gcn_with_res": True, "tcn_type": "mstcn"}
    network = _PooledScores(_get("pyskl.models.gcns.stgcn.STGCN")(graph, **settings), clips.classes)
    train, test = (PysklClips(clips, part) for part in ("train", "val"))
    return _classifier(network.to(device), train, test, 0.0005)


class _PooledScores(nn.Module):
    """PYSKL's head behind its backbone; the scores of a clip's readings are averaged."""

    def __init__(self, backbone: nn.Module, classes: int) -> None:
        super().__init__()
        self.backbone, self.linear = backbone, nn.Linear(256, classes)

    def forward(self, x: Tensor) -> Tensor:
        features = self.backbone(x.flatten(0, 1)).mean(dim=(3, 4)).mean(dim=1)
        return self.linear(features).unflatten(0, x.shape[:2]).mean(dim=1)


class PysklClips(Dataset[Any]):
    """The clips of a part, through PYSKL's own pipeline of its joint stream: ten readings of a test clip."""

    def __init__(self, clips: Clips, part: str) -> None:
        content = pickle.loads(clips.pickle.read_bytes())
        names = set(content["split"][f"{clips.protocol.replace(':', '_')}_{part}"])
        self.clips = [one for one in content["annotations"] if one["frame_dir"] in names]
        steps = "pyskl.datasets.pipelines.pose_related.", "pyskl.datasets.pipelines.sampling."
        self.test = part != "train"
        self.pipeline = [
            _get(f"{steps[0]}PreNormalize3D")(),
            _get(f"{steps[0]}GenSkeFeat")(dataset="nturgb+d", feats=["j"]),
            _get(f"{steps[1]}UniformSample")(clip_len=100, num_clips=10 if self.test else 1),
            _get(f"{steps[0]}PoseDecode")(),
            _get(f"{steps[0]}FormatGCNInput")(num_person=2),
        ]

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        clip = {**self.clips[index], "test_mode": self.test, "start_index": 0}
        for step in self.pipeline:
            clip = step(clip)
        return torch.from_numpy(clip["keypoint"]).float(), clip["label"]
