"""Image networks that are trained along: every kind, their weights, and what is no image network."""

import json
import sys
import types

import pytest
import torch
from safetensors.torch import save_file

from kinelex.errors import InputError
from kinelex.models.image_network import ImageNetwork

PICTURES = torch.randint(
    0, 256, (3, 40, 48, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
)


def trains(network: ImageNetwork) -> None:
    """A step changes the features, and reaches every parameter that is trained."""
    features = network.eval()(PICTURES)
    assert features.shape == (3, network.num_features)
    network.train()(PICTURES).square().sum().backward()
    trained = [p for p in network.parameters() if p.requires_grad]
    assert trained
    assert all(p.grad is not None for p in trained)
    torch.optim.SGD(trained, lr=1e-3).step()
    assert not torch.allclose(network.eval()(PICTURES), features)


def test_efficientnet_has_the_features_of_the_prompts_and_trains():
    from kinelex.prompts.embed.image_networks import EfficientNetLite0

    network = ImageNetwork(size=0)
    assert (network.size, network.num_features) == (224, 1280)
    whole = torch.randint(0, 256, (2, 224, 224, 3), dtype=torch.uint8)
    expected = torch.from_numpy(EfficientNetLite0().encode(whole.numpy()))
    with torch.inference_mode():
        torch.testing.assert_close(network.eval()(whole), expected, atol=1e-4, rtol=1e-4)
    trains(ImageNetwork(size=64))


def test_weights_from_a_file(tmp_path):
    network = ImageNetwork(size=32)
    state = {f"module.{k}": v + 1 for k, v in network.network.network.state_dict().items()}
    torch.save({"state_dict": state}, tmp_path / "own.pth")
    other = ImageNetwork(weights=str(tmp_path / "own.pth"), size=32)
    found = other.network.network.state_dict()
    assert all(torch.equal(found[k.removeprefix("module.")], v) for k, v in state.items())
    bare = {k: v for k, v in found.items() if not k.startswith("_fc.")}  # a classifier is not asked for
    (tmp_path / "folder").mkdir()
    save_file({k: v.contiguous() for k, v in bare.items()}, tmp_path / "folder" / "model.safetensors")
    ImageNetwork(weights=str(tmp_path / "folder"), size=32)
    bare.pop("_conv_stem.weight")
    save_file({k: v.contiguous() for k, v in bare.items()}, tmp_path / "torn.safetensors")
    torch.save({**found, "_conv_stem.weight": torch.zeros(3)}, tmp_path / "shape.pt")
    (tmp_path / "text.pt").write_text("no weights")
    (tmp_path / "empty").mkdir()
    for name, message in (
        ("torn.safetensors", "lacks 1 of the weights, _conv_stem.weight first"),
        ("shape.pt", "of another network.*_conv_stem"),
        ("text.pt", "cannot be read"),
        ("nowhere.pt", "there is no file"),
        ("empty", "holds neither model.safetensors nor"),
    ):
        with pytest.raises(InputError, match=message):
            ImageNetwork(weights=str(tmp_path / name), size=32)


def tiny(folder, kind):
    import transformers as t

    if kind == "vit":
        options = {
            "hidden_size": 16,
            "num_attention_heads": 2,
            "intermediate_size": 32,
            "num_hidden_layers": 1,
        }
        model = t.ViTModel(t.ViTConfig(**options, image_size=32, patch_size=8), add_pooling_layer=False)
    elif kind == "resnet":
        config = t.ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic")
        model = t.ResNetModel(config)
    elif kind == "clip":
        part = {"hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 32, "num_hidden_layers": 1}
        vision = {**part, "image_size": 32, "patch_size": 8}
        model = t.CLIPModel(t.CLIPConfig(text_config={**part, "vocab_size": 20}, vision_config=vision))
    else:
        model = t.BertModel(t.BertConfig(vocab_size=20, hidden_size=16, num_attention_heads=2,
                                         intermediate_size=32, num_hidden_layers=1))  # fmt: skip
    model.save_pretrained(folder)
    return f"transformers:{folder}"


@pytest.mark.parametrize(("kind", "size"), [("vit", 32), ("resnet", 224), ("clip", 32)])
def test_vision_models_of_transformers(kind, size, tmp_path):
    name = tiny(tmp_path / kind, kind)
    network = ImageNetwork(name)
    assert (network.size, network.num_features) == (size, 16)
    torch.testing.assert_close(network.mean.flatten(), 255 * torch.tensor([0.485, 0.456, 0.406]))
    trains(network)


def test_the_pixels_are_scaled_as_the_checkpoint_says(tmp_path):
    name = tiny(tmp_path / "vit", "vit")
    about = {
        "image_processor_type": "ViTImageProcessor",
        "image_mean": [0.5, 0.4, 0.3],
        "image_std": [0.2] * 3,
    }
    (tmp_path / "vit" / "preprocessor_config.json").write_text(json.dumps(about))
    network = ImageNetwork(name).eval()
    torch.testing.assert_close(network.mean.flatten(), 255 * torch.tensor([0.5, 0.4, 0.3]))
    picture = PICTURES[:1, :32, :32]
    pixels = (picture.permute(0, 3, 1, 2) / 255 - torch.tensor([0.5, 0.4, 0.3]).view(3, 1, 1)) / 0.2
    inner = network.network.network
    expected = inner(pixel_values=pixels).last_hidden_state.mean(dim=1)
    torch.testing.assert_close(network(picture), expected)


class Inception(torch.nn.Module):
    """Stands for a network of timm: pooled features where no classifier is asked for."""

    pretrained_cfg = {"input_size": (3, 36, 36), "mean": (0.5,) * 3, "std": (0.25,) * 3}  # noqa: RUF012

    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 6, 3, stride=2)
        self.unused = torch.nn.Linear(2, 2)

    def forward(self, x):
        assert x.shape[2:] == (36, 36)
        return self.conv(x).mean(dim=(2, 3))


@pytest.fixture
def timm(monkeypatch):
    asked = []

    def create_model(name, pretrained, num_classes):
        asked.append((name, pretrained, num_classes))
        if name == "inceptoin_v3":
            raise RuntimeError("Unknown model (inceptoin_v3)")
        return Inception()

    module = types.ModuleType("timm")
    module.create_model = create_model
    module.__spec__ = types.SimpleNamespace(name="timm")
    monkeypatch.setitem(sys.modules, "timm", module)
    return asked


def test_a_network_of_timm(timm, tmp_path):
    network = ImageNetwork("timm:inception_v3")
    assert timm == [("inception_v3", True, 0)]
    assert not network.network.unused.weight.requires_grad  # nothing depends on it
    trains(network)
    torch.save(Inception().state_dict(), tmp_path / "own.pt")
    ImageNetwork("timm:inception_v3", weights=str(tmp_path / "own.pt"))
    assert timm[-1] == ("inception_v3", False, 0)
    with pytest.raises(InputError, match="Unknown model.*image_weights=FILE"):
        ImageNetwork("timm:inceptoin_v3")


def test_what_is_no_image_network(tmp_path):
    text = tiny(tmp_path / "bert", "bert")
    for name, message in (
        ("inception_v3", "expects image_network to be efficientnet_lite0, transformers:FOLDER_OR_ID or timm"),
        ("timm:", "timm:NAME, got 'timm:'"),
        (text, "cannot read pictures of 224 pixels"),
        (
            f"transformers:{tmp_path}/nowhere",
            "image_network=transformers: expects the folder of a checkpoint",
        ),
    ):
        with pytest.raises(InputError, match=message):
            ImageNetwork(name)
    with pytest.raises(InputError, match="image_size of at least 0, got -1"):
        ImageNetwork(size=-1)


def test_a_package_that_is_not_installed(monkeypatch):
    for package in ("timm", "efficientnet_lite_pytorch"):
        monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(InputError, match="pip install timm"):
        ImageNetwork("timm:inception_v3")
    with pytest.raises(InputError, match=r"pip install 'kinelex\[embedded\]'"):
        ImageNetwork()
