"""Work divided into shares, journals of clips, engines that do many clips at once, and what is kept."""

from __future__ import annotations

import os
from collections.abc import Iterator
from copy import copy
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from prompt_fakes import FakeImage, FakeText, HalfVision, Killed

from kinelex.data import open_prompts, tile_pictures
from kinelex.errors import InputError
from kinelex.prompts import (
    ClipTexts,
    Crops,
    EngineContext,
    make_prompts,
    merge_prompts,
    register,
    registry,
    shards,
)
from kinelex.prompts.journal import Journal


class Asked:
    """A language engine that counts whom it was asked about, and dies after some clips if told to."""

    name, version, default_frames, pool = "asked", "1", 2, "text"
    rows: ClassVar[list[int]] = []
    left: ClassVar[int] = -1

    def __init__(self, context: EngineContext) -> None:
        self.cost = {"tokens": 0, "seconds": 9.0}

    def texts(self, row: int, indices: np.ndarray) -> ClipTexts | None:
        if Asked.left == 0:
            raise Killed
        Asked.left -= 1
        Asked.rows.append(row)
        self.cost["tokens"] += 10
        return None if row == 5 else ClipTexts([f"Row {row} at {i}." for i in indices])


class Many(Asked):
    """Does many clips at once, in an order of its own."""

    def texts_of(self, rows: list[int], indices: list[np.ndarray]) -> Iterator[tuple[int, ClipTexts | None]]:
        for row, mine in sorted(zip(rows, indices, strict=True), key=lambda pair: pair[0] * 37 % 101):
            yield row, self.texts(row, mine)


class Short(Asked):
    """Leaves out a text."""

    def texts(self, row: int, indices: np.ndarray) -> ClipTexts | None:
        return ClipTexts(["One."])


class Sizes(HalfVision):
    """Pictures of different sizes from clip to clip."""

    def crops(self, row: int, indices: np.ndarray) -> Crops | None:
        made = super().crops(row, indices)
        if made is None:
            return None
        images = np.full((len(indices), 1, 8 + row % 3, 12, 3), 3 * row, np.uint8)
        return Crops(images, made.boxes, made.flags)


@pytest.fixture(autouse=True)
def fakes(monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in list(registry.PARTS):
        monkeypatch.setitem(registry.PARTS, kind, copy(registry.PARTS[kind]))
    register("text encoder", "fake_text", FakeText)
    register("image encoder", "fake_image", FakeImage)
    register("vision engine", "sizes", Sizes)
    for name, engine in (("asked", Asked), ("many", Many), ("short", Short)):
        register("language engine", name, engine)
    FakeText.seen, FakeText.calls_left, FakeImage.calls_left, FakeImage.images = [], -1, -1, 0
    Asked.rows, Asked.left = [], -1


def make(store: Path, out: Path, **options: Any) -> Any:
    settings: dict[str, Any] = {"language": "asked", "vision": "sizes", "text_encoder": "fake_text"}
    return make_prompts(
        store, out, **{**settings, "image_encoder": "fake_image", "progress": False, **options}
    )


@pytest.mark.parametrize("engine", ["asked", "many"])
@pytest.mark.parametrize("after", [0, 1, 33, 69])
def test_a_killed_run_asks_only_for_the_rest(
    small_store: Path, tmp_path: Path, engine: str, after: int
) -> None:
    make(small_store, tmp_path / "whole.arrow", language=engine)
    Asked.rows, Asked.left = [], after
    with pytest.raises(Killed):
        make(small_store, tmp_path / "p.arrow", language=engine)
    Asked.left = -1
    make(small_store, tmp_path / "p.arrow", language=engine)
    assert sorted(Asked.rows) == list(range(70))  # each once
    assert (tmp_path / "p.arrow").read_bytes() == (tmp_path / "whole.arrow").read_bytes()


def test_shares_in_any_order_make_the_same_store(small_store: Path, tmp_path: Path) -> None:
    whole, out = tmp_path / "whole.arrow", tmp_path / "p.arrow"
    make(small_store, whole)
    Asked.rows, FakeImage.images = [], 0
    with pytest.raises(InputError, match="there is nothing to merge"):
        merge_prompts(out)
    first = make(small_store, out, share=(2, 2))
    assert first.waits
    assert "share 2 of 2 of the prompts of 70 clips" in str(first)
    assert Asked.rows == list(range(32, 64))
    with pytest.raises(
        InputError,
        match=r"is not complete, shards are missing: texts 1 to 32, texts 65 to 70, pictures 1 to 32, "
        r"pictures 65 to 70; run --shard 1/2 again",
    ):
        merge_prompts(out)
    assert not out.exists()
    FakeText.calls_left = 0  # the share that comes last dies before it can embed
    with pytest.raises(Killed):
        make(small_store, out, share=(1, 2))
    with pytest.raises(InputError, match=r"shards are missing: sentences 1 to \d+; run --shard 1/2 again"):
        merge_prompts(out)
    FakeText.calls_left = -1
    assert not make(small_store, out, share=(1, 2)).waits
    assert merge_prompts(out).clips == 70
    assert out.read_bytes() == whole.read_bytes()
    assert sorted(Asked.rows) == list(range(70))
    assert FakeImage.images == 70
    assert merge_prompts(out).clips == 70  # once more does no harm
    assert not list(tmp_path.glob("*.parts"))


def test_shares_of_other_settings_are_refused(small_store: Path, tmp_path: Path) -> None:
    make(small_store, tmp_path / "p.arrow", share=(1, 3))
    with pytest.raises(InputError, match="language.frames was 2, now 4"):
        make(small_store, tmp_path / "p.arrow", share=(2, 3), frames=4)
    with pytest.raises(InputError, match="leave out either the share or Ray"):
        make(small_store, tmp_path / "p.arrow", share=(2, 3), ray="local")


def test_cost_is_kept_beside_the_store(small_store: Path, tmp_path: Path) -> None:
    Asked.left = 40
    with pytest.raises(Killed):
        make(small_store, tmp_path / "p.arrow")
    Asked.left = -1
    make(small_store, tmp_path / "p.arrow")
    cost = open_prompts(tmp_path / "p.arrow").meta.cost
    assert cost["language"]["tokens"] == 10 * cost["language"]["clips"]
    assert cost["language"]["clips"] == 62  # the 8 clips that the kill interrupted were not measured
    assert cost["vision"]["clips"] == 70
    assert 0 < cost["language"]["seconds"] < 60
    (tmp_path / "p.arrow.cost.json").unlink()
    assert open_prompts(tmp_path / "p.arrow").meta.cost == {}


def test_an_engine_that_leaves_out_a_text_is_named(small_store: Path, tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match="clip0: expects a text for each of 2 frames, language engine asked gave 1"
    ):
        make(small_store, tmp_path / "p.arrow", language="short")


def test_journal_forgets_a_torn_line_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kinelex.prompts.journal._PATIENCE", 0.2)
    path = tmp_path / "j.jsonl"
    journal = Journal(path)
    journal.note(3, ["a", "ü"])
    journal.note(4, None)
    journal.close()
    with path.open("ab") as file:
        file.write(b'[5, ["half of')
    journal = Journal(path)
    assert journal.entries == {3: ["a", "ü"], 4: None}
    journal.add([[5], "a row that is none"])
    journal.close()
    journal = Journal(path)
    assert journal.entries == {3: ["a", "ü"], 4: None}
    journal.note(6, ["b"])
    with pytest.raises(InputError, match="is being written by another process"):
        Journal(path)
    journal.close()
    again = Journal(path)
    assert list(again.entries) == [3, 4, 6]
    again.finish()
    assert not path.exists()


def test_crops_and_tile_are_kept(small_store: Path, tmp_path: Path) -> None:
    out = tmp_path / "p.arrow"
    make(small_store, out, keep=("tile", "crops", "tile"), tile_size=64, share=(1, 1))
    merge_prompts(out)
    store = open_prompts(out)
    assert store.meta.kept == ("crops", "tile")
    assert store.crops(1) is None
    for row in (2, 34, 68):
        crops = store.crops(row)
        assert crops is not None
        assert crops.shape == (2, 1, 8 + row % 3, 12, 3)
        assert np.abs(crops.astype(int) - 3 * row).max() <= 2
        expected = tile_pictures(np.full((2, 8 + row % 3, 12, 3), 3 * row, np.uint8), 64)
        tile = store.tiles([row])[0]
        assert np.abs(tile.astype(int) - expected).mean() < 4
    assert store.meta.engines["vision"]["tile_size"] == 64
    plain = tmp_path / "plain.arrow"
    make(small_store, plain)
    assert np.array_equal(open_prompts(plain).bank("vision").frame, store.bank("vision").frame)


def test_shares_may_begin_at_the_same_moment(
    small_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, out = shards.write_whole, tmp_path / "p.arrow"

    def write_while_another_begins(path: Path, content: bytes) -> None:
        write(path, content)
        monkeypatch.setattr(shards, "write_whole", write)
        make(small_store, out, share=(2, 3))

    monkeypatch.setattr(shards, "write_whole", write_while_another_begins)
    make(small_store, out, share=(1, 3))
    make(small_store, out, share=(3, 3))
    assert merge_prompts(out).clips == 70


def test_damaged_parts_are_named(small_store: Path, tmp_path: Path) -> None:
    out = tmp_path / "p.arrow"
    folder = tmp_path / "p.arrow.parts"
    make(small_store, out, share=(1, 1))
    for name in ("pictures-00000032.npz", "texts-00000000.json"):
        whole = (folder / name).read_bytes()
        for torn in (whole[: len(whole) // 2], b""):
            (folder / name).write_bytes(torn)
            with pytest.raises(InputError, match=f"{name} is damaged: delete it and start again"):
                merge_prompts(out)
        (folder / name).unlink()
        make(small_store, out, share=(1, 1))
        assert (folder / name).stat().st_size == len(whole)
    begun = (folder / "begun.json").read_text()
    (folder / "begun.json").write_text("[]")
    with pytest.raises(InputError, match="there is nothing to merge"):
        merge_prompts(out)
    (folder / "begun.json").write_text(begun)
    settings = (folder / "settings.json").read_text()
    (folder / "settings.json").write_text('{"language')
    for again in (lambda: merge_prompts(out), lambda: make(small_store, out)):
        with pytest.raises(InputError, match=r"p\.arrow\.parts is damaged: delete it"):
            again()
    (folder / "settings.json").write_text(settings)
    assert merge_prompts(out).clips == 70


class Silent(Asked):
    """Has nothing to say about anybody."""

    def texts(self, row: int, indices: np.ndarray) -> ClipTexts | None:
        return None


class Telling(Asked):
    """Says how many clips it has seen."""

    def __init__(self, context: EngineContext) -> None:
        self.cost = {"clips": 0}

    def texts(self, row: int, indices: np.ndarray) -> ClipTexts | None:
        self.cost["clips"] += 1
        return ClipTexts(["He sits."] * len(indices))

    def summary(self) -> str:
        return f"telling: {self.cost['clips']} clips"


def test_an_engine_that_had_nothing_to_do_says_nothing(small_store: Path, tmp_path: Path) -> None:
    register("language engine", "telling", Telling)
    options = {"language": "telling", "vision": None, "share": (1, 1)}
    assert make(small_store, tmp_path / "p.arrow", **options).notes == ("telling: 70 clips",)
    assert make(small_store, tmp_path / "p.arrow", **options).notes == ()


def test_a_modality_that_no_clip_has_is_an_error_beside_another_too(
    small_store: Path, tmp_path: Path
) -> None:
    register("language engine", "silent", Silent)
    with pytest.raises(InputError, match=r"no clip of tiny has language prompts.* Delete .*p\.arrow\.parts"):
        make(small_store, tmp_path / "p.arrow", language="silent")
    assert not (tmp_path / "p.arrow").exists()


def test_no_vision_at_all_can_be_kept_apart(small_store: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has vision prompts: is --source the right folder"):
        make(small_store, tmp_path / "p.arrow", keep=("tile",), source=Path(os.sep))
