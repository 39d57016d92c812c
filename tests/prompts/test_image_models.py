"""Image encoders that are models of transformers (or timm) give what transformers itself gives."""

from __future__ import annotations

import json
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_models
import torch
import transformers as tf
from tiny_vision import vision_model

from kinelex.errors import InputError
from kinelex.prompts import create
from kinelex.prompts.embed.pixels import to_pixels
from kinelex.prompts.registry import IMAGE_ENCODER

IMAGES = np.random.default_rng(0).integers(0, 255, (5, 48, 48, 3), dtype=np.uint8)


def pixels(folder: Path) -> torch.Tensor:
    return tf.AutoImageProcessor.from_pretrained(folder)(images=list(IMAGES), return_tensors="pt")[
        "pixel_values"
    ]


@pytest.mark.parametrize("make", [tiny_models.clip, tiny_models.siglip])
def test_clip_gives_the_image_tower_projected(make: Any, tmp_path: Path) -> None:
    make(tmp_path)
    encoder = create(IMAGE_ENCODER, "clip", model=str(tmp_path), batch_size=2)
    found = encoder.encode(IMAGES)
    with torch.inference_mode():
        wanted = tf.AutoModel.from_pretrained(tmp_path).get_image_features(pixels(tmp_path)).pooler_output
    wanted = torch.nn.functional.normalize(wanted).numpy()
    assert found.shape == (5, encoder.width) == wanted.shape
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    assert encoder.encode(IMAGES[:0]).shape == (0, encoder.width)
    assert encoder.settings["model"] == tmp_path.name
    assert encoder.settings["dtype"] == "float32"


def test_clip_computes_in_the_numbers_that_are_asked_for(tmp_path: Path) -> None:
    tiny_models.clip(tmp_path)
    exact = create(IMAGE_ENCODER, "clip", model=str(tmp_path)).encode(IMAGES)
    half = create(IMAGE_ENCODER, "clip", model=str(tmp_path), dtype="bfloat16")
    assert half.settings["dtype"] == "bfloat16"
    assert np.abs(half.encode(IMAGES) - exact).max() < 0.05


@pytest.mark.parametrize("kind", ["vit", "dinov2", "swin", "resnet", "convnext"])
def test_image_takes_what_the_model_pools(kind: str, tmp_path: Path) -> None:
    vision_model(tmp_path, kind)
    encoder = create(IMAGE_ENCODER, "image", model=str(tmp_path), batch_size=3)
    with torch.inference_mode():
        out = tf.AutoModel.from_pretrained(tmp_path).eval()(pixels(tmp_path))
    np.testing.assert_allclose(encoder.encode(IMAGES), out.pooler_output.flatten(1).numpy(), atol=1e-5)


@pytest.mark.parametrize(("kind", "before"), [("vit", 1), ("registers", 4), ("swin", 0)])
def test_mean_leaves_out_what_stands_before_the_patches(kind: str, before: int, tmp_path: Path) -> None:
    vision_model(tmp_path, kind)
    with torch.inference_mode():
        last = tf.AutoModel.from_pretrained(tmp_path).eval()(pixels(tmp_path)).last_hidden_state
    for pooling, wanted in (("mean", last[:, before:].mean(dim=1)), ("cls", last[:, 0])):
        encoder = create(IMAGE_ENCODER, "image", model=str(tmp_path), pooling=pooling)
        np.testing.assert_allclose(encoder.encode(IMAGES), wanted.numpy(), atol=1e-5)
        assert encoder.settings["pooling"] == pooling


def test_without_a_pooler_in_the_checkpoint_the_mean_is_taken(tmp_path: Path) -> None:
    vision_model(tmp_path, "vit", add_pooling_layer=False)
    encoder = create(IMAGE_ENCODER, "image", model=str(tmp_path))
    assert encoder.settings["pooling"] == "mean"
    again = create(IMAGE_ENCODER, "image", model=str(tmp_path), pooling="mean")
    assert np.array_equal(encoder.encode(IMAGES), again.encode(IMAGES))  # no weight was drawn at random
    with pytest.raises(InputError, match="weights are missing"):
        create(IMAGE_ENCODER, "image", model=str(tmp_path), pooling="pooled")


def test_checkpoints_of_another_kind_are_refused(tmp_path: Path) -> None:
    two, one, words = (tmp_path / name for name in ("two", "one", "words"))
    for folder in (two, one, words):
        folder.mkdir()
    tiny_models.clip(two)
    vision_model(one, "resnet")
    tiny_models.bert(words)
    (words / "preprocessor_config.json").write_text(json.dumps({"image_processor_type": "ViTImageProcessor"}))
    with pytest.raises(InputError, match="two towers: take --image-encoder clip"):
        create(IMAGE_ENCODER, "image", model=str(two))
    with pytest.raises(InputError, match="no image tower beside a text tower: take --image-encoder image"):
        create(IMAGE_ENCODER, "clip", model=str(one))
    with pytest.raises(InputError, match="no image tower beside a text tower"):
        create(IMAGE_ENCODER, "clip", model=str(words))  # lacks its pooler, which is not what matters
    with pytest.raises(InputError, match="does not turn a picture into an embedding"):
        create(IMAGE_ENCODER, "image", model=str(words))
    with pytest.raises(InputError, match=r"no tokens, take image_encoder.pooling=mean"):
        create(IMAGE_ENCODER, "image", model=str(one), pooling="cls")
    with pytest.raises(InputError, match="unknown pooling 'men': did you mean 'mean'"):
        create(IMAGE_ENCODER, "image", model=str(one), pooling="men")
    with pytest.raises(InputError, match="batch_size: expects at least 1, got 0"):
        create(IMAGE_ENCODER, "clip", model=str(two), batch_size=0)


def test_timm_is_asked_for_where_it_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    monkeypatch.setattr("kinelex.models.image_network.find_spec", lambda name: None)
    with pytest.raises(
        InputError, match="timm:resnet50 needs timm, which brings torchvision: pip install timm"
    ):
        create(IMAGE_ENCODER, "timm:resnet50")


def test_timm_models_are_made_as_its_documentation_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """Against a stand-in: timm needs torchvision, which is not installed where this is tested."""

    class Network(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.mean(dim=(2, 3))

    def create_model(name: str, pretrained: bool, num_classes: int) -> Network:
        assert pretrained
        assert num_classes == 0
        if name != "tiny":
            raise RuntimeError(f"Unknown model ({name})")
        return Network()

    data = types.SimpleNamespace(
        resolve_model_data_config=lambda network: {"divide": 255},
        create_transform=lambda divide: (
            lambda image: torch.tensor(np.asarray(image)).permute(2, 0, 1) / divide
        ),
    )
    stand_in = types.SimpleNamespace(create_model=create_model, data=data)
    monkeypatch.setitem(sys.modules, "timm", stand_in)
    monkeypatch.setattr("kinelex.models.image_network.find_spec", lambda name: object())
    monkeypatch.setattr("kinelex.prompts.embed.image_networks.metadata.version", lambda name: "1.0")
    encoder = create(IMAGE_ENCODER, "timm:tiny", batch_size=2, device="cpu")
    np.testing.assert_allclose(encoder.encode(IMAGES), IMAGES.mean(axis=(1, 2)) / 255, atol=1e-5)
    assert (encoder.width, encoder.settings) == (3, {"model": "tiny"})
    with pytest.raises(
        InputError, match=r"timm:tinny cannot be made \(Unknown model \(tinny\)\); .* timm:local-dir:FOLDER"
    ):
        create(IMAGE_ENCODER, "timm:tinny")
    with pytest.raises(InputError, match="expects the name of a model"):
        create(IMAGE_ENCODER, "timm:")


def test_timm_gives_what_timm_gives_from_a_folder(tmp_path: Path) -> None:
    from PIL import Image

    timm = pytest.importorskip("timm", reason="the extra 'timm' is not installed")
    network = timm.create_model("test_resnet", pretrained=False, num_classes=7)
    timm.models.save_for_hf(network, tmp_path)
    encoder = create(IMAGE_ENCODER, f"timm:local-dir:{tmp_path}", batch_size=2, device="cpu")
    transform = timm.data.create_transform(**timm.data.resolve_model_data_config(network))
    pixels = torch.stack([transform(Image.fromarray(image)) for image in IMAGES])
    with torch.inference_mode():
        expected = network.eval().forward_head(network.forward_features(pixels), pre_logits=True)
    np.testing.assert_allclose(encoder.encode(IMAGES), expected, rtol=1e-4, atol=1e-5)


def test_a_batch_that_does_not_fit_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    vision_model(tmp_path, "resnet")
    encoder = create(IMAGE_ENCODER, "image", model=str(tmp_path), batch_size=4)

    def full(pixels: torch.Tensor) -> torch.Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(encoder, "_embed", full)
    with pytest.raises(
        InputError, match=r"4 pictures at a time do not fit .* try image_encoder.batch_size=2"
    ):
        encoder.encode(IMAGES)


def test_pictures_are_prepared_as_the_processor_itself_does(tmp_path: Path) -> None:
    vision_model(tmp_path, "vit")
    processor = tf.AutoImageProcessor.from_pretrained(tmp_path)
    device, dtype = torch.device("cpu"), torch.float32
    torch.testing.assert_close(
        to_pixels(processor, IMAGES, device, dtype), pixels(tmp_path), atol=1e-5, rtol=0
    )
    processor.do_normalize = False  # one that cannot be taken apart
    wanted = processor(images=list(IMAGES), return_tensors="pt")["pixel_values"]
    assert torch.equal(to_pixels(processor, IMAGES, device, dtype), wanted)
