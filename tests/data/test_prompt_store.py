"""The prompt store: round trip with missing modalities, the bank, and what is refused."""

from pathlib import Path

import numpy as np
import pytest

import kinelex
from kinelex.data import (
    WHOLE_CLIP,
    ClipPrompts,
    ModalityPrompts,
    PromptMeta,
    PromptStore,
    PromptStoreWriter,
    open_prompts,
    tile_pictures,
    write_jpeg,
)
from kinelex.errors import InputError

META = PromptMeta(
    dataset="tiny",
    store_fingerprint="0123456789abcdef",
    engines={"language": {"engine": "kinematic", "version": 1}, "vision": {"engine": "render", "views": 2}},
    widths={"language": 6, "vision": 4},
)


def _language(rng: np.random.Generator, whole: bool = True) -> ModalityPrompts:
    frames = np.array([0, 3, WHOLE_CLIP] if whole else [0, 3])
    texts = [f"the left arm, frame {f}" for f in frames]
    return ModalityPrompts(frames, rng.normal(size=(len(frames), 6)).astype(np.float32), texts=texts)


def _vision(rng: np.random.Generator) -> ModalityPrompts:
    boxes = rng.uniform(0, 100, (2, 4)).astype(np.float32)
    embeddings = rng.normal(size=(2, 4)).astype(np.float16)
    return ModalityPrompts(np.array([1, 5]), embeddings, boxes=boxes, flags=np.array([True, False]))


def _clips(count: int = 300) -> list[ClipPrompts]:
    """Every third clip lacks vision, every fifth language."""
    rng = np.random.default_rng(0)
    return [
        ClipPrompts(
            f"c{i}",
            language=None if i % 5 == 4 else _language(rng),
            vision=None if i % 3 == 2 else _vision(rng),
        )
        for i in range(count)
    ]


def _write(path: Path, clips: list[ClipPrompts], meta: PromptMeta = META) -> PromptStore:
    with PromptStoreWriter(path, meta) as writer:
        for clip in clips:
            writer.add(clip)
    return open_prompts(path)


def test_round_trip_with_missing_modalities_over_two_record_batches(tmp_path: Path) -> None:
    clips = _clips()
    store = _write(tmp_path / "p.arrow", clips)
    assert store.meta == META
    assert store.ids == [clip.id for clip in clips]
    assert store.modalities == ("language", "vision")
    for clip in (clips[0], clips[2], clips[4], clips[14], clips[299]):
        found = store.clip(clip.id)
        for mine, read in ((clip.language, found.language), (clip.vision, found.vision)):
            if mine is None:
                assert read is None
                continue
            assert read is not None
            np.testing.assert_array_equal(read.frames, mine.frames)
            np.testing.assert_array_equal(read.embeddings, mine.embeddings.astype(np.float16))
            assert read.texts == mine.texts
            for name in ("boxes", "flags"):
                if getattr(mine, name) is None:
                    assert getattr(read, name) is None
                else:
                    np.testing.assert_array_equal(getattr(read, name), getattr(mine, name))


def test_the_bank_is_a_loop_over_the_clips(tmp_path: Path) -> None:
    clips = _clips()
    store = _write(tmp_path / "p.arrow", clips)
    language, vision = store.bank("language"), store.bank("vision")
    assert vision.clip is None
    assert language.clip is not None
    assert language.frame.shape == (300, 2, 6)
    assert vision.frame.dtype == np.float16
    for i, clip in enumerate(clips):
        assert language.present[i] == (clip.language is not None) == store.present("language")[i]
        assert vision.present[i] == (clip.vision is not None)
        expected = np.zeros((3, 6)) if clip.language is None else clip.language.embeddings.astype(np.float16)
        np.testing.assert_array_equal(language.frame[i], expected[:2])
        np.testing.assert_array_equal(language.clip[i], expected[2])
        expected = np.zeros((2, 4)) if clip.vision is None else clip.vision.embeddings
        np.testing.assert_array_equal(vision.frame[i], expected)


def test_a_store_of_one_modality(tmp_path: Path) -> None:
    meta = PromptMeta("tiny", "0", {"language": {"engine": "kinematic"}}, {"language": 6})
    store = _write(tmp_path / "p.arrow", [ClipPrompts("a", _language(np.random.default_rng(0)))], meta)
    assert store.modalities == ("language",)
    assert kinelex.open_prompts(tmp_path / "p.arrow").clip("a").vision is None
    with pytest.raises(InputError, match="has language prompts, none of vision: make them with"):
        store.bank("vision")
    with pytest.raises(InputError, match="has no prompts for the clip b"):
        store.clip("b")


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    wrong = _vision(rng)
    wrong.embeddings = wrong.embeddings[:, :3]
    with PromptStoreWriter(tmp_path / "p.arrow", META) as writer:
        writer.add(ClipPrompts("a", _language(rng), _vision(rng)))
        with pytest.raises(InputError, match="two clips have the id a"):
            writer.add(ClipPrompts("a"))
        with pytest.raises(InputError, match=r"b: expects vision embeddings \(2, 4\), got \(2, 3\)"):
            writer.add(ClipPrompts("b", vision=wrong))
    assert open_prompts(tmp_path / "p.arrow").ids == ["a"]


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        ([[0, 1, 2], [0, 1, 2, 3]], "the same number of language prompts"),
        ([[0, 1, WHOLE_CLIP], [0, WHOLE_CLIP, 1]], "at most one whole-clip prompt, at the same place"),
        ([[WHOLE_CLIP, 1], [0, 1]], "at most one whole-clip prompt"),
        ([[WHOLE_CLIP, WHOLE_CLIP]], "at most one whole-clip prompt"),
    ],
)
def test_a_bank_needs_the_same_prompts_for_every_clip(
    frames: list[list[int]], message: str, tmp_path: Path
) -> None:
    meta = PromptMeta("tiny", "0", {}, {"language": 6})
    clips = [
        ClipPrompts(f"c{i}", ModalityPrompts(np.array(f), np.ones((len(f), 6)), texts=["x"] * len(f)))
        for i, f in enumerate(frames)
    ]
    store = _write(tmp_path / "p.arrow", clips, meta)
    with pytest.raises(InputError, match=message):
        store.bank("language")


def _write_and_fail(path: Path) -> None:
    with PromptStoreWriter(path, META) as writer:
        writer.add(ClipPrompts("a"))
        raise RuntimeError("stop")


def test_an_exception_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="stop"):
        _write_and_fail(tmp_path / "p.arrow")
    assert not list(tmp_path.iterdir())


def test_kept_crops_and_tiles_are_read_back(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    soft = np.linspace(20, 220, 32)[:, None, None] * np.ones((1, 16, 3))  # JPEG keeps slow changes
    images = np.stack(
        [np.clip(soft + 8 * k, 0, 255).astype(np.uint8) for k in range(4)]
    )  # 2 frames x 2 views
    clips = []
    for i in range(3):
        vision = _vision(rng)
        vision.crops = [write_jpeg(image) for image in images]
        vision.tile = write_jpeg(tile_pictures(images, 64))
        clips.append(ClipPrompts(f"c{i}", vision=None if i == 1 else vision))
    meta = PromptMeta("tiny", None, {}, {"vision": 4}, ("crops", "tile"))
    store = _write(tmp_path / "p.arrow", clips, meta)
    assert store.meta == meta
    crops = store.crops(2)
    assert crops is not None
    assert crops.shape == (2, 2, 32, 16, 3)
    assert np.abs(crops.reshape(images.shape).astype(int) - images).max() <= 6
    assert (store.crops(1), store.tile(1)) == (None, None)
    tiles = store.tiles([0, 1])
    assert tiles.shape == (2, 64, 64, 3)
    assert not tiles[1].any()
    assert np.abs(tiles[0, :32, 8:24].astype(int) - images[0]).max() <= 8  # the first cell
    assert store.tiled().tolist() == [True, False, True]
    assert store.tiles([1]).shape == (1, 64, 64, 3)
    assert not store.tiles([1]).any()


@pytest.mark.parametrize("damaged", [0, 1])
def test_damaged_pictures_are_named(tmp_path: Path, damaged: int) -> None:
    rng = np.random.default_rng(0)
    good = write_jpeg(np.full((32, 32, 3), 200, np.uint8))
    files = [good, good]
    files[damaged] = b"no picture" if damaged else good[:200]
    clips = []
    for name, file in zip("ab", files, strict=True):
        vision = _vision(rng)
        vision.tile, vision.crops = file, [file] * len(vision.frames)
        clips.append(ClipPrompts(name, vision=vision))
    meta = PromptMeta("tiny", None, {}, {"vision": 4}, ("crops", "tile"))
    store = _write(tmp_path / "p.arrow", clips, meta)
    with pytest.raises(InputError, match=rf"p\.arrow: the tile of {'ab'[damaged]} is no picture"):
        store.tiles([0, 1])
    with pytest.raises(InputError, match=rf"the picture of {'ab'[damaged]} is no picture"):
        store.crops(damaged)
    with pytest.raises(InputError, match=rf"has 1 damaged tiles .* that of {'ab'[damaged]} \("):
        store.check_tiles([0, 1])
    store.check_tiles([1 - damaged])


def test_tiles_of_two_sizes_are_refused(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    clips = []
    for name, side in (("a", 32), ("b", 16)):
        vision = _vision(rng)
        vision.tile = write_jpeg(np.zeros((side, side, 3), np.uint8))
        clips.append(ClipPrompts(name, vision=vision))
    store = _write(tmp_path / "p.arrow", clips, PromptMeta("tiny", None, {}, {"vision": 4}, ("tile",)))
    for read in (store.tiles, store.check_tiles):
        with pytest.raises(InputError, match=r"the tile of b has the shape \(16, 16, 3\), others have"):
            read([0, 1])


def test_pictures_that_were_not_kept(tmp_path: Path) -> None:
    meta = PromptMeta("tiny", None, {}, {"vision": 4}, ("tile",))
    empty = _write(tmp_path / "empty.arrow", [ClipPrompts("a"), ClipPrompts("b")], meta)
    with pytest.raises(InputError, match="none of its 2 clips has a tiled picture"):
        empty.tiles([1])
    store = _write(tmp_path / "p.arrow", _clips(3))
    with pytest.raises(InputError, match="keeps no tile"):
        store.tiled()
    with pytest.raises(InputError, match=r"keeps no tile of its pictures: make it with --keep tile"):
        store.tile(0)
    with pytest.raises(InputError, match="keeps no tile"):
        store.check_tiles([0])
    empty.check_tiles([0, 1])
    with pytest.raises(InputError, match="keeps no crops"):
        store.crops(0)


def test_columns_of_all_clips_and_the_cost(tmp_path: Path) -> None:
    clips = _clips(3)
    clips[1] = ClipPrompts("c1")
    cost = {"language": {"seconds": 3.0, "clips": 2}}
    store = _write(tmp_path / "p.arrow", clips, PromptMeta("tiny", None, {}, META.widths, cost=cost))
    assert store.meta.cost == cost
    for row, clip in enumerate(clips):
        language = clip.language
        assert store.texts()[row] == (None if language is None else language.texts)
        assert store.frames("language")[row] == (None if language is None else language.frames.tolist())
        vision = clip.vision
        assert store.flags()[row] == (None if vision is None else vision.flags.tolist())


def test_prompts_of_no_frame_are_refused(tmp_path: Path) -> None:
    language = ModalityPrompts(np.zeros(0, np.int32), np.zeros((0, 6), np.float32), texts=[])
    with PromptStoreWriter(tmp_path / "p.arrow", META) as writer:
        writer.add(ClipPrompts("a"))
        with pytest.raises(InputError, match="b: language prompts of no frame"):
            writer.add(ClipPrompts("b", language=language))


def test_what_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    wrong = ModalityPrompts(np.array([0]), np.zeros((1, 6)), texts=[3])  # type: ignore[list-item]
    with pytest.raises(TypeError), PromptStoreWriter(tmp_path / "p.arrow", META) as writer:
        writer.add(ClipPrompts("a", language=wrong))
    with pytest.raises(InputError, match="no clip to write"), PromptStoreWriter(tmp_path / "p.arrow", META):
        pass
    assert not list(tmp_path.iterdir())
