"""The fingerprints stand for all content, and a changed byte is told or changes nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from kinelex.cli.describe import describe
from kinelex.data import (
    WHOLE_CLIP,
    ClipPrompts,
    ModalityPrompts,
    PromptMeta,
    PromptStoreWriter,
    Sequence,
    SkeletonStore,
    SkeletonStoreWriter,
    StoreMeta,
    open_prompts,
    open_store,
)
from kinelex.errors import InputError
from kinelex.skeleton import SkeletonLayout

ARM = SkeletonLayout("arm", ("shoulder_center", "left_elbow", "left_hand"), (0, 0, 1))
META = StoreMeta("arms", ARM, ("wave", "rest"))
PROMPTS = PromptMeta(
    "arms", "0123456789abcdef", {"language": {"engine": "toy"}}, {"language": 4, "vision": 3}
)
OLD_FINGERPRINT = "a3626b51514b6b04"  # of old_clips(), computed by version 0.1


def clip(number: int, **changes: Any) -> Sequence:
    x = np.random.default_rng(number).normal(size=(3 + number % 4, 1 + number % 2, 3, 3)).astype(np.float32)
    beside = {"caption": "a wave", "scores": np.abs(x[..., 0]), "splits": ("xsub:train",), "fps": 30.0}
    return Sequence(**({"id": f"c{number}", "coordinates": x, "label": number % 2, **beside} | changes))


def write(path: Path, clips: list[Sequence], meta: StoreMeta = META) -> SkeletonStore:
    with SkeletonStoreWriter(path, meta) as writer:
        for one in clips:
            writer.add(one)
    return open_store(path)


def write_prompts(path: Path, count: int = 5, text: str = "the left arm") -> None:
    rng = np.random.default_rng(0)
    with PromptStoreWriter(path, replace(PROMPTS, kept=("tile",))) as writer:
        for i in range(count):
            language = ModalityPrompts(np.array([0, WHOLE_CLIP]), rng.normal(size=(2, 4)), texts=[text, "b"])
            boxes, flags = rng.uniform(0, 9, (1, 4)), np.array([i == 2])
            vision = ModalityPrompts(np.array([1]), rng.normal(size=(1, 3)), boxes=boxes, flags=flags)
            vision.tile = rng.bytes(20)
            writer.add(ClipPrompts(f"c{i}", language, None if i == 1 else vision))


X = clip(1).coordinates
CHANGES: dict[str, Callable[[], Sequence]] = {
    "label": lambda: clip(1, label=0),
    "no label": lambda: clip(1, label=None),
    "coordinate": lambda: clip(1, coordinates=X + np.float32(1e-6)),
    "score": lambda: clip(1, scores=X[..., 0] * 0),
    "no scores": lambda: clip(1, scores=None),
    "pixels": lambda: clip(1, image_coordinates=X[..., :2]),
    "id": lambda: clip(1, id="C1"),
    "subject": lambda: clip(1, subject=3),
    "caption": lambda: clip(1, caption="a nod"),
    "no caption": lambda: clip(1, caption=None),
    "splits": lambda: clip(1, splits=("xsub:test",)),
    "fps": lambda: clip(1, fps=25.0),
    "picture": lambda: clip(1, image_size=(480, 640)),
}


@pytest.mark.parametrize("change", CHANGES)
def test_any_change_of_a_clip_changes_the_fingerprint(change: str, tmp_path: Path) -> None:
    plain = write(tmp_path / "a.arrow", [clip(0), clip(1), clip(2)]).fingerprint
    changed = write(tmp_path / "b.arrow", [clip(0), CHANGES[change](), clip(2)]).fingerprint
    assert plain != changed


def test_what_the_store_says_counts_but_not_where_it_came_from(tmp_path: Path) -> None:
    plain = write(tmp_path / "a.arrow", [clip(0)]).fingerprint
    for changes in ({"units": "millimetres"}, {"class_names": ("wave", "nod")}, {"dataset": "legs"}):
        assert write(tmp_path / "b.arrow", [clip(0)], replace(META, **changes)).fingerprint != plain
    elsewhere = replace(META, source="elsewhere", prepared={"workers": 2})
    assert write(tmp_path / "b.arrow", [clip(0)], elsewhere).fingerprint == plain
    two, turned = [clip(0), clip(1)], [clip(1), clip(0)]
    assert write(tmp_path / "c.arrow", two).fingerprint != write(tmp_path / "d.arrow", turned).fingerprint


def test_batches_do_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clips = [clip(i, caption=None if i % 3 else f"clip {i}") for i in range(40)]
    whole = write(tmp_path / "a.arrow", clips)
    monkeypatch.setattr("kinelex.data.skeleton_writer._BYTES_PER_BATCH", 1000)
    several = write(tmp_path / "b.arrow", clips)
    assert len(several.person_frames()[0]) > 5
    assert several.fingerprint == whole.fingerprint
    several.verify()


def test_prompts_have_a_fingerprint_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_prompts(tmp_path / "a.arrow")
    write_prompts(tmp_path / "b.arrow", text="the right arm")
    monkeypatch.setattr("kinelex.data.prompt_writer._ROWS_PER_BATCH", 2)
    write_prompts(tmp_path / "c.arrow")
    first, other, batches = (open_prompts(tmp_path / f"{name}.arrow").fingerprint for name in "abc")
    assert first == batches != other


def _content(path: Path) -> list[Any]:
    """Everything in a store, as text or bytes."""
    if path.name.startswith("p"):
        prompts = open_prompts(path)
        prompts.verify()
        tiles = [prompts.tile(row) for row in range(len(prompts))]
        banks = [prompts.bank(m).frame.tobytes() for m in prompts.modalities]
        return [
            replace(prompts.meta, engines={}),
            prompts.ids,
            prompts.texts(),
            prompts.flags(),
            tiles,
            banks,
        ]
    store = open_store(path)
    store.verify()
    numbers = [store.labels, store.subjects, store.persons, store.lengths, store.fps]
    arrays = [f(i) for i in range(len(store)) for f in (store.sequence, store.scores)]
    about = (store.meta.dataset, store.layout, store.class_names, store.ids, store.captions, store.splits)
    return [about, [None if a is None else a.tobytes() for a in (*numbers, *arrays)]]


def _flip_and_compare(path: Path, seed: int) -> tuple[int, int]:
    """Flip single bits; each must be told or change nothing. Gives how many were told, and how many not."""
    content, before = path.read_bytes(), _content(path)
    rng, told = np.random.default_rng(seed), 0
    for position in rng.integers(0, 8 * len(content), 250).tolist():
        damaged = bytearray(content)
        damaged[position // 8] ^= 1 << position % 8
        path.unlink()  # the old file stays mapped
        path.write_bytes(damaged)
        try:
            assert _content(path) == before, f"bit {position}"
        except InputError:
            told += 1
    return told, 250 - told


def test_no_flipped_bit_goes_unnoticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kinelex.data.skeleton_writer._BYTES_PER_BATCH", 300)
    monkeypatch.setattr("kinelex.data.prompt_writer._ROWS_PER_BATCH", 3)
    write(tmp_path / "s.arrow", [clip(i) for i in range(5)])
    write_prompts(tmp_path / "p.arrow")
    for name in ("s", "p"):
        told, unchanged = _flip_and_compare(tmp_path / f"{name}.arrow", 0)
        assert told > 60
        assert unchanged > 20  # what pads, and the schema at the beginning, which the end repeats


def test_damage_of_coordinates_is_told_with_the_clip_when_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.arrow"
    clips = [clip(i) for i in range(4)]
    write(path, clips)
    content = bytearray(path.read_bytes())
    place = content.index(clips[2].coordinates.tobytes())
    content[place + 5] ^= 1
    path.write_bytes(content)
    store = open_store(path)
    np.testing.assert_array_equal(store.sequence(1), clips[1].coordinates)
    for read in (store.sequence, store.scores):
        with pytest.raises(InputError, match=r"a\.arrow is damaged: the coordinates of c2 are not what was"):
            read(2)
    with pytest.raises(InputError, match="make it again with `kinelex prepare`"):
        store.verify()


def _rewrite(
    path: Path, out: Path, version: int, drop: list[str], changes: dict[str, Any] | None = None
) -> None:
    """Write a store again as another program or an older version would: other header, no checksums."""
    table = pa.ipc.open_file(str(path)).read_all().drop_columns(drop)
    header = json.loads(table.schema.metadata[b"kinelex"]) | {"format_version": version}
    for name, column in (changes or {}).items():
        place = table.schema.get_field_index(name)
        table = table.set_column(place, table.schema.field(place), column)
    table = table.replace_schema_metadata({b"kinelex": json.dumps(header).encode()})
    with pa.OSFile(str(out), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)


def old_clips() -> list[Sequence]:
    return [Sequence(f"c{i}", np.full((2 + i, 1, 3, 3), 1.0 + i), label=i % 2) for i in range(3)]


def test_stores_of_version_2_keep_their_fingerprint(tmp_path: Path) -> None:
    write(tmp_path / "a.arrow", old_clips())
    _rewrite(tmp_path / "a.arrow", tmp_path / "old.arrow", 2, ["fps", "checksum"])
    old = open_store(tmp_path / "old.arrow")
    old.verify()
    assert old.fingerprint == OLD_FINGERPRINT
    np.testing.assert_array_equal(old.sequence(2), old_clips()[2].coordinates)


def test_prompts_of_version_1_open(tmp_path: Path) -> None:
    write_prompts(tmp_path / "a.arrow")
    _rewrite(tmp_path / "a.arrow", tmp_path / "old.arrow", 1, ["checksum", "picture_checksum"])
    old, new = open_prompts(tmp_path / "old.arrow"), open_prompts(tmp_path / "a.arrow")
    assert old.bank("language").frame.tobytes() == new.bank("language").frame.tobytes()
    assert old.tile(0) == new.tile(0)
    assert len(old.fingerprint) == 16


INTS = pa.int32()
WRONG = {
    "label": pa.array([0, 1, 2], INTS),
    "persons": pa.array([1, 1, 2**30], INTS),
    "frames": pa.array([2, 3, 0], INTS),
    "coordinates": pa.array([[1.0] * 18, [1.0] * 27, [1.0] * 35], pa.list_(pa.float32())),
    "scores": pa.array([None, None, [1.0]], pa.list_(pa.float32())),
    "id": pa.array(["a", None, "c"]),
    "subject": pa.array([1, -4, None], INTS),
}


@pytest.mark.parametrize("column", WRONG)
def test_columns_that_do_not_fit_each_other_are_told(column: str, tmp_path: Path) -> None:
    write(tmp_path / "a.arrow", old_clips())
    _rewrite(tmp_path / "a.arrow", tmp_path / "b.arrow", 2, ["checksum"], {column: WRONG[column]})
    with pytest.raises(InputError, match="is damaged: .*; make it again with `kinelex prepare`"):
        open_store(tmp_path / "b.arrow")


def test_what_another_program_wrote_again_has_lost_its_fingerprint(tmp_path: Path) -> None:
    write(tmp_path / "a.arrow", old_clips())
    _rewrite(tmp_path / "a.arrow", tmp_path / "b.arrow", 3, [])
    with pytest.raises(InputError, match="does not fit the fingerprint"):
        open_store(tmp_path / "b.arrow")


def test_info_verifies_every_clip(tmp_path: Path) -> None:
    write(tmp_path / "a.arrow", [clip(0)])
    write_prompts(tmp_path / "p.arrow")
    for name in ("a", "p"):
        path = tmp_path / f"{name}.arrow"
        describe(path, verify=True)
        inside = clip(0).coordinates.tobytes() if name == "a" else b"the left arm"
        content = bytearray(path.read_bytes())
        content[content.index(inside) + 2] ^= 1
        path.write_bytes(content)
        with pytest.raises(InputError, match="is damaged"):
            describe(path, verify=True)
    with pytest.raises(InputError, match="is a directory"):
        describe(tmp_path, verify=True)
