"""Making prompt stores: resuming, refusing, counting; with encoders small enough for a test."""

from __future__ import annotations

from copy import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from prompt_fakes import FakeImage, FakeText, HalfVision, Killed, ShyLanguage

from kinelex.data import WHOLE_CLIP, Sequence, SkeletonStoreWriter, StoreMeta, open_prompts, open_store
from kinelex.errors import InputError
from kinelex.prompts import (
    EngineContext,
    ImageEncoder,
    LanguageEngine,
    TextEncoder,
    VisionEngine,
    create,
    describe_prompts,
    make_prompts,
    names,
    register,
    registry,
)
from kinelex.prompts.clips import sample_frames
from kinelex.prompts.language import split_sentences
from kinelex.skeleton import get_layout


@pytest.fixture(autouse=True)
def fakes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Register the fakes for one test."""
    for kind in list(registry.PARTS):
        monkeypatch.setitem(registry.PARTS, kind, copy(registry.PARTS[kind]))
    register("text encoder", "fake_text", FakeText)
    register("image encoder", "fake_image", FakeImage)
    register("vision engine", "half", HalfVision)
    register("language engine", "shy", ShyLanguage)
    FakeText.seen, FakeText.calls_left, FakeImage.calls_left, FakeImage.images = [], -1, -1, 0


def make(store: Path, out: Path, **options: Any) -> Any:
    settings: dict[str, Any] = {"language": "kinematic", "vision": "render", "text_encoder": "fake_text"}
    settings |= {"image_encoder": "fake_image", "frames": 3, "progress": False, **options}
    if settings["vision"] == "render":
        settings.setdefault("options", {"vision": {"image_size": 32}})
    return make_prompts(store, out, **settings)


def test_contents_of_a_prompt_store(small_store: Path, tmp_path: Path) -> None:
    summary = make(small_store, tmp_path / "p.arrow")
    store, prompts = open_store(small_store), open_prompts(tmp_path / "p.arrow")
    assert prompts.ids == store.ids
    assert prompts.meta.store_fingerprint == store.fingerprint
    assert prompts.meta.widths == {"language": 8, "vision": 8}  # two views side by side
    clip = prompts.clip("clip49")
    assert clip.language is not None
    assert clip.vision is not None
    assert clip.language.frames.tolist() == [8, 25, 41, WHOLE_CLIP]
    assert clip.vision.frames.tolist() == [6, 18, 31, 43]
    engine = create("language engine", "kinematic", EngineContext(store))
    said = engine.texts(49, np.array([8, 25, 41]))
    assert clip.language.texts == [*said.frames, said.clip]
    assert np.linalg.norm(clip.language.embeddings, axis=1) == pytest.approx(1, abs=2e-3)
    assert prompts.bank("language").frame.shape == (70, 3, 8)
    assert prompts.bank("vision").frame.shape == (70, 4, 8)
    assert (summary.clips, summary.missing, summary.flagged, summary.resumed) == (
        70, {"language": 0, "vision": 0}, 0.0, False,
    )  # fmt: skip
    assert not list(tmp_path.glob("*.parts"))


def test_a_text_is_the_mean_of_its_sentences(small_store: Path, tmp_path: Path) -> None:
    make(small_store, tmp_path / "p.arrow", vision=None)
    language = open_prompts(tmp_path / "p.arrow").clip("clip30").language
    assert language is not None
    assert language.texts is not None
    every = sorted(set(FakeText.seen), key=lambda s: (len(s), s))
    table = {}
    for start in range(0, len(every), 512):
        batch = every[start : start + 512]
        table |= dict(zip(batch, FakeText().encode(batch), strict=True))
    for text, embedding in zip(language.texts, language.embeddings, strict=True):
        total = np.zeros(8)
        for sentence in text.replace(". ", ".|").split("|"):
            total += table[sentence]
        assert embedding == pytest.approx(total / np.linalg.norm(total), abs=2e-3)


@pytest.mark.parametrize("pool", ["sentences", "text"])
def test_identical_texts_are_embedded_once(small_store: Path, tmp_path: Path, pool: str) -> None:
    make(small_store, tmp_path / "p.arrow", vision=None, pool=pool)
    assert len(FakeText.seen) == len(set(FakeText.seen))
    prompts = open_prompts(tmp_path / "p.arrow")
    texts = {t for i in prompts.ids for t in prompts.clip(i).language.texts}  # type: ignore[union-attr]
    units = texts if pool == "text" else {s for t in texts for s in split_sentences(t)}
    assert set(FakeText.seen) == units


@pytest.mark.parametrize(("text_calls", "image_calls"), [(0, -1), (-1, 0), (-1, 1), (-1, 2)])
def test_killed_and_started_again_equals_an_uninterrupted_run(
    small_store: Path, tmp_path: Path, text_calls: int, image_calls: int
) -> None:
    whole, broken = tmp_path / "whole.arrow", tmp_path / "broken.arrow"
    make(small_store, whole)
    wanted_images = FakeImage.images
    FakeText.calls_left, FakeImage.calls_left, FakeImage.images = text_calls, image_calls, 0
    with pytest.raises(Killed):
        make(small_store, broken)
    assert not broken.exists()
    FakeText.calls_left = FakeImage.calls_left = -1
    assert make(small_store, broken).resumed
    assert broken.read_bytes() == whole.read_bytes()
    assert FakeImage.images == wanted_images  # nothing was embedded twice
    assert not list(tmp_path.glob("*.parts"))


def test_half_a_shard_on_the_disk_is_made_again(small_store: Path, tmp_path: Path) -> None:
    whole, broken = tmp_path / "whole.arrow", tmp_path / "broken.arrow"
    make(small_store, whole)
    FakeImage.calls_left = 2
    with pytest.raises(Killed):
        make(small_store, broken)
    FakeImage.calls_left = -1
    (tmp_path / "broken.arrow.parts" / "vision-00000064.tmp").write_bytes(b"half a shard")
    make(small_store, broken)
    assert broken.read_bytes() == whole.read_bytes()


def test_made_already_is_left_alone_and_other_settings_are_refused(small_store: Path, tmp_path: Path) -> None:
    out = tmp_path / "p.arrow"
    make(small_store, out)
    before = out.read_bytes()
    (tmp_path / "p.arrow.parts").mkdir()  # as if the first run had died while it cleaned up
    again = make(small_store, out)
    assert again.resumed
    assert again.clips == 70
    assert not (tmp_path / "p.arrow.parts").exists()
    with pytest.raises(
        InputError, match=r"p.arrow was made with other settings: language.frames was 3, now 4"
    ):
        make(small_store, out, frames=4)
    with pytest.raises(InputError, match="vision.engine.image_size was 32, now 64"):
        make(small_store, out, options={"vision": {"image_size": 64}})
    assert out.read_bytes() == before


def test_parts_of_other_settings_or_another_store_are_refused(
    small_store: Path, tmp_path: Path, lively: np.ndarray
) -> None:
    out = tmp_path / "p.arrow"
    FakeImage.calls_left = 1
    with pytest.raises(Killed):
        make(small_store, out)
    FakeImage.calls_left = -1
    with pytest.raises(
        InputError, match=r"p.arrow.parts was begun with other settings: vision.frames was 4, now 5"
    ):
        make(small_store, out, vision_frames=5)
    other = tmp_path / "other.arrow"
    with SkeletonStoreWriter(other, StoreMeta("tiny", get_layout("kinect20"), ("a", "b"))) as writer:
        writer.add(Sequence("clip0", lively, label=0))
    with pytest.raises(InputError, match="store fingerprint was"):
        make(other, out)
    assert not out.exists()


def test_missing_modalities_are_counted(small_store: Path, tmp_path: Path) -> None:
    summary = make(small_store, tmp_path / "p.arrow", language="shy", vision="half")
    assert summary.missing == {"language": 1, "vision": 35}
    assert summary.flagged == 0.5
    prompts = open_prompts(tmp_path / "p.arrow")
    assert prompts.clip("clip1").vision is None
    assert prompts.clip("clip0").language is None
    about = describe_prompts(tmp_path / "p.arrow")
    assert about["clips"] == 70
    assert about["modalities"]["language"] == {
        "present": 69,
        "missing": 1,
        "frames": 3,
        "whole_clip": False,
        "width": 8,
        "engine": {"name": "shy", "version": "1", "question": "What is he doing?"},
        "encoder": {"name": "fake_text", "version": "1"},
        "different_texts": len({t for i in prompts.ids[1:] for t in prompts.clip(i).language.texts}),  # type: ignore[union-attr]
    }
    assert about["modalities"]["vision"]["flagged"] == 0.5
    assert about["modalities"]["vision"]["missing"] == 35


def test_no_clip_with_a_picture_is_an_error(small_store: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has vision prompts: is --source the right folder"):
        make(small_store, tmp_path / "p.arrow", vision="half", source=tmp_path)
    assert not (tmp_path / "p.arrow").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"language": None, "vision": None}, "nothing to do"),
        ({"language": "kinematics"}, "unknown language engine 'kinematics': did you mean 'kinematic'"),
        ({"vision": "rendr"}, "unknown vision engine 'rendr': did you mean 'render'"),
        ({"text_encoder": "clpi"}, "unknown text encoder 'clpi'"),
        ({"image_encoder": "clpi"}, "unknown image encoder 'clpi'"),
        ({"frames": 0}, "at least 1 frame per clip, got frames 0"),
        ({"vision_frames": -1}, "vision frames -1"),
        ({"language": None, "vision": "render", "frames": 3}, "--frames 3 is given, but no engine"),
        ({"vision": None, "vision_frames": 3}, "--vision-frames 3 is given, .* name one with --vision"),
        ({"pool": "sentence"}, "unknown pool 'sentence': did you mean 'sentences'"),
    ],
)
def test_wrong_arguments(small_store: Path, tmp_path: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make(small_store, tmp_path / "p.arrow", **options)
    assert not list(tmp_path.glob("p.arrow*"))


def test_an_output_that_is_something_else_is_not_overwritten(small_store: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is there already and is no prompt store"):
        make(small_store, small_store)
    notes = tmp_path / "notes.txt"
    notes.write_text("mine")
    with pytest.raises(InputError, match=r"notes.txt is there already"):
        make(small_store, notes)
    assert notes.read_text() == "mine"
    (tmp_path / "p.arrow.parts").mkdir()
    (tmp_path / "p.arrow.parts" / "thesis.docx").write_text("mine")
    with pytest.raises(InputError, match="is in the way"):
        make(small_store, tmp_path / "p.arrow")


def test_frames_are_spread_over_the_clip() -> None:
    assert sample_frames(16, 16).tolist() == list(range(16))
    assert sample_frames(5, 16).tolist() == [(2 * p + 1) * 5 // 32 for p in range(16)]


def test_built_in_parts_follow_the_protocols(small_store: Path) -> None:
    context = EngineContext(open_store(small_store))
    assert isinstance(create("language engine", "kinematic", context), LanguageEngine)
    assert isinstance(create("vision engine", "render", context), VisionEngine)
    assert isinstance(FakeText(), TextEncoder)
    assert isinstance(FakeImage(), ImageEncoder)
    assert {"efficientnet_lite0", "fake_image"} <= set(names("image encoder"))
    with pytest.raises(InputError, match="unknown kind of prompt part"):
        names("engine")


def test_the_example_of_the_docs(lively: np.ndarray, tmp_path: Path) -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "prompts.md").read_text(encoding="utf-8")
    example = page.split("```python")[-1].split("```")[0]
    exec(compile(example, "docs/prompts.md", "exec"), {})
    path = tmp_path / "captioned.arrow"
    with SkeletonStoreWriter(path, StoreMeta("tiny", get_layout("kinect20"), ("a",))) as writer:
        writer.add(Sequence("one", lively, label=0, caption="He waves."))
        writer.add(Sequence("two", lively, label=0))
    summary = make(path, tmp_path / "p.arrow", language="notes", vision=None)
    assert summary.missing == {"language": 1}
    language = open_prompts(tmp_path / "p.arrow").clip("one").language
    assert language is not None
    assert language.texts == ["He waves."] * 4
