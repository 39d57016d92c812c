"""Vision engines that look at recorded frames: joints and grounding_dino cut, full does not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers as tf
from tiny_vision import grounding_dino
from video_files import clip_store

from kinelex.data import Sequence, SkeletonStoreWriter, StoreMeta, open_store
from kinelex.errors import InputError
from kinelex.prompts import EngineContext, create
from kinelex.prompts.engines.cut import cut, fitted
from kinelex.prompts.engines.grounding_dino import GroundingDinoVision, distinct
from kinelex.prompts.registry import VISION
from kinelex.skeleton import get_layout


class Frames:
    """Pictures of 48 x 64 pixels: noise, drawn from the row and the frame."""

    def __init__(self, height: int = 48, width: int = 64) -> None:
        self.shape = (height, width, 3)

    def frames(self, row: int, indices: np.ndarray) -> np.ndarray | None:
        if row == 1:
            return None
        draw = [np.random.default_rng([row, t]).integers(0, 256, self.shape) for t in indices.tolist()]
        return np.stack(draw).astype(np.uint8)


def test_a_picture_keeps_its_shape_in_the_square() -> None:
    picture = np.zeros((30, 10, 3), np.uint8)
    square = fitted(picture, 60)
    assert square.shape == (60, 60, 3)
    black = ~square.any(axis=2)
    assert black.sum() == 60 * 20
    assert black[:, 20:40].all()
    assert np.array_equal(fitted(picture.transpose(1, 0, 2), 60), square.transpose(1, 0, 2))


def test_boxes_are_padded_clipped_and_missing_ones_flagged() -> None:
    frames = Frames().frames(0, np.arange(4))
    assert frames is not None
    outside = np.array([70.0, 5, 90, 20])
    boxes = [np.array([10.2, 20, 30, 40.5]), None, outside, np.array([np.nan] * 4)]
    crops = cut(frames, boxes, 0.1, 32)
    assert crops.boxes.tolist() == [[8, 17, 33, 43], *[[0, 0, 64, 48]] * 3]
    assert crops.flags.tolist() == [False, True, True, True]
    assert np.array_equal(crops.images[0, 0], fitted(frames[0, 17:43, 8:33], 32))
    assert np.array_equal(crops.images[1, 0], fitted(frames[1], 32))


def test_full_takes_whole_frames(tmp_path: Path) -> None:
    context = EngineContext(clip_store(tmp_path / "s.arrow", {"a": 5, "b": 5}), pictures=Frames())
    engine = create(VISION, "full", context, image_size=40)
    crops = engine.crops(0, np.array([0, 3]))
    assert crops.images.shape == (2, 1, 40, 40, 3)
    assert crops.boxes.tolist() == [[0, 0, 64, 48]] * 2
    assert not crops.flags.any()
    assert engine.crops(1, np.array([0])) is None
    with pytest.raises(InputError, match="vision engine full looks at the recorded frames: name them"):
        create(VISION, "full", EngineContext(context.store))


def pixels(length: int) -> np.ndarray:
    """Two persons in a picture of 96 x 128; the second only in frame 0, nobody in the last frame."""
    x = np.zeros((length, 2, 25, 2), np.float32)
    x[:, 0] = np.linspace((20, 30), (40, 70), 25)
    x[0, 1] = np.linspace((90, 20), (110, 60), 25)
    x[1, 0, 3] = 0  # a joint that was not tracked
    x[1, 0, 4] = np.nan
    x[-1] = 0
    return x


def test_joints_crop_where_the_skeleton_is(tmp_path: Path) -> None:
    store = clip_store(
        tmp_path / "s.arrow", {"a": 4, "b": 4}, 2, image_coordinates=pixels, image_size=(96, 128)
    )
    context = EngineContext(store, pictures=Frames())  # half as large as the pictures the pixels refer to
    both = create(VISION, "joints", context, padding=0, image_size=32).crops(0, np.arange(4))
    assert both.boxes.tolist() == [[10, 10, 56, 36], [10, 15, 21, 36], [10, 15, 21, 36], [0, 0, 64, 48]]
    assert both.flags.tolist() == [False, False, False, True]
    first = create(VISION, "joints", context, padding=0, several="best").crops(0, np.arange(4))
    assert first.boxes[0].tolist() == [10, 15, 21, 36]
    assert create(VISION, "joints", context).crops(1, np.arange(4)) is None
    wide = create(VISION, "joints", context, padding=0.5).crops(0, np.array([1]))
    assert wide.boxes[0].tolist() == [0, 4, 32, 47]
    with pytest.raises(InputError, match="unknown several 'bets': did you mean 'best'"):
        create(VISION, "joints", context, several="bets")
    with pytest.raises(InputError, match="padding from 0 to 2 .*, got -1"):
        create(VISION, "joints", context, padding=-1)


def test_joints_of_two_dimensional_skeletons_are_pixels_themselves(tmp_path: Path) -> None:
    layout = get_layout("coco17")
    x = np.linspace((10, 5), (50, 45), 17, dtype=np.float32)[None, None].repeat(3, axis=0)
    with SkeletonStoreWriter(
        tmp_path / "s.arrow", StoreMeta("tiny", layout, ("a",), units="pixels")
    ) as writer:
        writer.add(Sequence("a", x, label=0, image_size=(48, 64)))
    context = EngineContext(open_store(tmp_path / "s.arrow"), pictures=Frames())
    crops = create(VISION, "joints", context, padding=0).crops(0, np.array([2]))
    assert crops.boxes.tolist() == [[10, 5, 51, 46]]


def test_joints_need_pixels(tmp_path: Path) -> None:
    context = EngineContext(clip_store(tmp_path / "s.arrow", {"a": 5}), pictures=Frames())
    with pytest.raises(InputError, match="does not say where joints lie .* for example grounding_dino"):
        create(VISION, "joints", context)


@pytest.fixture(scope="module", params=["GroundingDino", "MMGroundingDino"])
def checkpoint(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return grounding_dino(tmp_path_factory.mktemp("checkpoint"), request.param)


def detector(folder: Path, path: Path, persons: int = 1, **options: Any) -> GroundingDinoVision:
    context = EngineContext(clip_store(path / "s.arrow", {"a": 5, "b": 5}, persons), pictures=Frames())
    return create(VISION, "grounding_dino", context, model=str(folder), **options)


def test_grounding_dino_finds_what_its_own_processor_finds(checkpoint: Path, tmp_path: Path) -> None:
    indices = np.arange(5)
    frames = Frames().frames(0, indices)
    assert frames is not None
    processor = tf.AutoProcessor.from_pretrained(checkpoint)
    network = tf.AutoModelForZeroShotObjectDetection.from_pretrained(checkpoint).eval()
    inputs = processor(images=list(frames), text=["person."] * 5, return_tensors="pt")
    with torch.inference_mode():
        out = network(**inputs)
    threshold = (
        float(out.logits.sigmoid().amax(dim=(1, 2)).min()) - 1e-4
    )  # something is over it in every frame
    wanted = processor.post_process_grounded_object_detection(
        out, inputs["input_ids"], threshold=threshold, target_sizes=[(48, 64)] * 5
    )
    engine = detector(checkpoint, tmp_path, threshold=threshold, text_threshold=0, batch_size=2)
    for found, theirs in zip(engine.find(frames), wanted, strict=True):
        order = torch.argsort(-theirs["scores"])
        np.testing.assert_allclose(found[:, 4], theirs["scores"][order].numpy(), atol=1e-4)
        np.testing.assert_allclose(found[:, :4], theirs["boxes"][order].numpy(), atol=0.05)


def test_best_and_union_and_nobody(checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    boxes = np.array(
        [[10, 10, 20, 30, 0.9], [10, 11, 20, 30, 0.8], [40, 5, 50, 25, 0.5], [0, 40, 9, 47, 0.4]]
    )
    monkeypatch.setattr(GroundingDinoVision, "find", lambda self, frames: [boxes, boxes[:0]])
    for persons, several, wanted in (
        (2, "union", [10, 5, 50, 30]),
        (2, "best", [10, 10, 20, 30]),
        (1, "union", [10, 10, 20, 30]),
    ):
        engine = detector(checkpoint, tmp_path, persons, several=several, padding=0, image_size=32)
        crops = engine.crops(0, np.array([0, 1]))
        assert crops is not None
        assert crops.boxes.tolist() == [wanted, [0, 0, 64, 48]]
        assert crops.flags.tolist() == [False, True]
        assert crops.images.shape == (2, 1, 32, 32, 3)
    assert engine.crops(1, np.array([0])) is None
    assert len(distinct(boxes[:, :4])) == 3


def test_a_word_must_be_over_its_own_threshold(checkpoint: Path, tmp_path: Path) -> None:
    frames = Frames().frames(0, np.arange(2))
    assert frames is not None
    loose = detector(checkpoint, tmp_path, threshold=0, text_threshold=0).find(frames)
    strict = detector(checkpoint, tmp_path, threshold=0, text_threshold=1).find(frames)
    assert all(len(boxes) == 10 for boxes in loose)
    assert not any(len(boxes) for boxes in strict)


def test_settings_tell_all_that_changes_crops(checkpoint: Path, tmp_path: Path) -> None:
    engine = detector(checkpoint, tmp_path, text=" Person ")
    assert engine.settings == {
        "model": checkpoint.name,
        "revision": engine.settings["revision"],
        "text": "person.",
        "threshold": 0.3,
        "text_threshold": 0.25,
        "several": "union",
        "padding": 0.05,
        "image_size": 336,
        "dtype": "float32",
    }
    assert engine.version == tf.__version__


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"threshold": 1.5}, "thresholds from 0 to 1, got 1.5"),
        ({"text": " . "}, "expects a text and a batch size"),
        ({"batch_size": 0}, "expects a text and a batch size"),
        ({"several": "all"}, "unknown several 'all'"),
        ({"image_size": 8}, "at least 32 pixels"),
        (
            {"treshold": 0.1},
            "unknown option of vision engine grounding_dino 'treshold': did you mean 'threshold'",
        ),
    ],
)
def test_wrong_options(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        detector(tmp_path, tmp_path, **options)


def test_another_kind_of_checkpoint_is_refused(tmp_path: Path) -> None:
    from tiny_vision import vision_model

    vision_model(tmp_path / "vit", "vit")
    with pytest.raises(
        InputError, match="is of the kind vit, expects one of grounding-dino, mm-grounding-dino"
    ):
        detector(tmp_path / "vit", tmp_path)
