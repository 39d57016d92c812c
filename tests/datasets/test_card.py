"""The data-set card: what it finds in clips that were made with known faults, and the page."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from kinelex.cli.describe import describe
from kinelex.data import Sequence, SkeletonStore, SkeletonStoreWriter, StoreMeta, open_store
from kinelex.datasets import get_split
from kinelex.datasets.describe import describe_store
from kinelex.errors import InputError
from kinelex.reports.card import scan, scan_store, warnings_of, write_card
from kinelex.reports.card.scan import Findings
from kinelex.reports.card.warn import Warn
from kinelex.skeleton import SkeletonLayout, get_layout

LAYOUT = get_layout("sbu15")
RNG = np.random.default_rng(0)
BODY = RNG.uniform(0.5, 1.5, size=(15, 3)).astype(np.float32)


def moving(frames: int = 12, persons: int = 1) -> np.ndarray:
    """A body that trembles by about a hundredth of its size."""
    return BODY + 0.01 * RNG.normal(size=(frames, persons, 15, 3)).astype(np.float32)


def write(path: Path, clips: list[Sequence], dataset: str = "nw_ucla") -> SkeletonStore:
    with SkeletonStoreWriter(path, StoreMeta(dataset, LAYOUT, ("wave", "bow", "none"))) as writer:
        for clip in clips:
            writer.add(clip)
    return open_store(path)


@pytest.fixture
def faulty(tmp_path: Path) -> SkeletonStore:
    """Good clips, and one or two with each fault."""
    clips = [Sequence(f"good{i}", moving(10 + i), i % 2, subject=i % 3, camera=1 + i % 3) for i in range(30)]
    twin = moving(9)
    clips += [
        Sequence("twin1", twin, 0, 1, 1),
        Sequence("twin3", twin, 0, 1, 3),
        Sequence("twin2", twin, 1, 1, 2),
    ]
    clips.append(Sequence("frozen", np.repeat(moving(1), 7, axis=0), 0, 2, 1))
    empty = moving(10, persons=2)
    empty[:, 1] = 0
    empty[3:, 0] = 0
    clips.append(Sequence("empty", empty, 0, 2, 3))
    jump = moving(8, persons=2)
    jump[7, 1, 4] += [0, 3, 0]  # in the last frame: there is one way out and none back
    jump[2, 0, 7] += [0, 2, 0]
    clips.append(Sequence("jump", jump, 1, 2, 1))
    gone = moving(6)
    gone[2:4, 0, 11] = 0
    clips.append(Sequence("gone", gone, 1, 2, 1))
    clips.append(Sequence("single", moving(1), None, 2, 1))
    return write(tmp_path / "faulty.arrow", clips)


def check(store: SkeletonStore) -> tuple[Findings, dict[str, Warn]]:
    found = scan_store(store)
    return found, {w.kind: w for w in warnings_of(store, found)}


def by_loop(store: SkeletonStore) -> dict[str, np.ndarray]:
    """The same numbers, clip by clip, frame by frame, joint by joint."""
    constant, empty, missing, bodies, far = [], [], np.zeros(15), 0, {}
    scale = scan.measure(store)
    for row in range(len(store)):
        x = store.sequence(row)
        constant.append(len(x) > 1 and all((frame == x[0]).all() for frame in x))
        empty.append(np.mean([not frame.any() for frame in x]))
        for t in range(len(x)):
            for m in range(x.shape[1]):
                if not x[t, m].any():
                    continue
                bodies += 1
                for v in range(15):
                    missing[v] += not x[t, m, v].any()
                    if t and x[t, m, v].any() and x[t - 1, m, v].any():
                        step = np.linalg.norm(x[t, m, v] - x[t - 1, m, v]) / scale.body
                        if step > scale.jump and step > far.get(row, (0,))[0]:
                            far[row] = (step, t, m, v)
    return {"constant": constant, "empty": empty, "missing": missing / bodies, "far": far}


@pytest.mark.parametrize("rows_at_once", [1 << 15, 40, 1])
def test_the_scan_is_what_a_plain_loop_finds(
    rows_at_once: int, faulty: SkeletonStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scan, "_ROWS_AT_ONCE", rows_at_once)
    found, expected = scan_store(faulty), by_loop(faulty)
    np.testing.assert_array_equal(found.constant, expected["constant"])
    np.testing.assert_allclose(found.empty, expected["empty"], atol=1e-12)
    np.testing.assert_allclose(found.joint_missing, expected["missing"])
    jumps = {j.row: (j.step, j.frame, j.person, j.joint) for j in found.jumps}
    assert jumps.keys() == expected["far"].keys()
    for row, place in expected["far"].items():
        assert jumps[row] == pytest.approx(place, rel=1e-5)
    same = found.copies[faulty.ids.index("twin1")]
    assert {faulty.ids[row] for row in np.flatnonzero(found.copies == same)} == {"twin1", "twin2", "twin3"}
    assert (found.copies >= 0).sum() == 3


def test_warnings_name_clip_joint_and_frame(faulty: SkeletonStore) -> None:
    found, warned = check(faulty)
    assert warned["copies"].count == 3
    assert warned["copies"].items == ["twin1, twin3, twin2"]
    assert warned["copies"].protocols == {"xview": 1}
    assert warned["copies_of_other_classes"].items == ["twin1 (wave), twin3 (wave), twin2 (bow)"]
    assert warned["constant"].items == ["frozen"]
    assert warned["mostly_empty"].items == ["empty: 70 % of 10 frames"]
    assert len(warned["jumps"].items) == 1
    assert warned["jumps"].items[0].startswith(f"jump: {LAYOUT.joints[4]}, frame 7, person 1, ")
    assert warned["single_frame"].items == warned["unlabelled"].items == ["single"]
    assert warned["empty_classes"].items == ["none"]
    assert "missing_joints" not in warned
    assert list(warned)[0] == "copies"
    assert found.scale.body == pytest.approx(np.linalg.norm(np.ptp(BODY, axis=0)), rel=0.1)


def test_joints_that_are_often_missing(tmp_path: Path) -> None:
    x = moving(10)
    x[:4, 0, 3] = 0
    _, warned = check(write(tmp_path / "s.arrow", [Sequence("a", x, 0)]))
    assert warned["missing_joints"].items == [f"{LAYOUT.joints[3]}: 40 %"]


def test_a_limit_that_fits_fast_movement(tmp_path: Path) -> None:
    """Where every joint goes far in every frame, that is no jump."""
    clips = [Sequence(f"c{i}", 5 * RNG.normal(size=(20, 1, 15, 3)), 0) for i in range(5)]
    found = scan_store(write(tmp_path / "s.arrow", clips))
    assert found.scale.jump > 0.35
    assert found.jumps == []


@pytest.mark.parametrize(
    ("scale", "units", "told"), [(100, "metres", 1), (100, "centimetres", 0), (1, "metres", 0)]
)
def test_a_body_of_a_hundred_metres_is_told(tmp_path: Path, scale: float, units: str, told: int) -> None:
    """Centimetres that were taken for metres: the card says so, and calls nothing metres."""
    x = moving(10)
    x[5, 0, 3] += 9
    meta = StoreMeta("x", LAYOUT, ("a",), units=units)
    with SkeletonStoreWriter(tmp_path / "s.arrow", meta) as writer:
        writer.add(Sequence("a", (scale * x).astype(np.float32), 0))
    found, warned = check(open_store(tmp_path / "s.arrow"))
    assert ("units" in warned) == bool(told)
    assert (
        "of no unit that is known" in warned["jumps"].text
        if told
        else f"{units}; the" in warned["jumps"].text
    )
    if told:
        assert f"{found.scale.body:.3g}, which is no body in metres" in warned["units"].text
        assert next(iter(warned)) == "units"


def test_a_clean_store_and_one_of_a_single_frame(tmp_path: Path) -> None:
    labels = (0, 1, 2)
    _, warned = check(write(tmp_path / "s.arrow", [Sequence(f"c{i}", moving(), i) for i in labels]))
    assert warned == {}
    store = write(tmp_path / "t.arrow", [Sequence("a", moving(1))])
    found, warned = check(store)
    assert set(warned) == {"single_frame", "unlabelled", "empty_classes"}
    page = write_card(
        store, tmp_path / "t.html", describe_store(store), found, list(warned.values())
    ).read_text()
    assert "no label" in page


def test_the_page_names_the_first_and_the_numbers_all(tmp_path: Path) -> None:
    clips = [Sequence(f"clip{i:02d}", np.repeat(moving(1), 3, axis=0), 0) for i in range(14)]
    store = write(tmp_path / "s.arrow", clips)
    description, _ = describe(store.path, html=tmp_path / "c.html")
    warned = {w["kind"]: w for w in description["warnings"]}
    assert warned["constant"]["items"] == store.ids
    page = (tmp_path / "c.html").read_text()
    assert "clip09" in page
    assert "clip10" not in page
    assert "and 4 more" in page


def test_the_page_is_one_file_and_says_what_was_found(faulty: SkeletonStore, tmp_path: Path) -> None:
    out = tmp_path / "new" / "card.html"
    description, shown = describe(faulty.path, html=out)
    page = out.read_text(encoding="utf-8")
    assert not re.search(r"(src|href)=.(?!#)", page)
    assert "@import" not in page
    assert "prefers-color-scheme: dark" in page
    for text in (
        "frozen",
        "twin1, twin3, twin2",
        "right_",
        "xview",
        "<b>38</b>",
        "per camera",
        "70 % of 10 frames",
    ):
        assert text in page, text
    assert page.count('class="strip"') == 2  # one clip of each class that has clips
    assert json.loads(json.dumps(description["warnings"]))[0]["protocols"] == {"xview": 1}
    console = Console(width=120)
    with console.capture() as capture:
        console.print(shown)
    assert "copies" in capture.get()
    assert "card.html" in capture.get().replace("\n", "")


@pytest.mark.parametrize(
    ("layout", "channels"),
    [
        (SkeletonLayout.from_yaml("name: hand\njoints: {wrist: wrist, thumb: wrist, index: wrist}"), 3),
        (get_layout("coco17"), 2),
        (get_layout("mediapipe33"), 3),
    ],
    ids=lambda value: getattr(value, "name", str(value)),
)
def test_any_layout_has_a_card(layout: SkeletonLayout, channels: int, tmp_path: Path) -> None:
    path = tmp_path / "s.arrow"
    with SkeletonStoreWriter(path, StoreMeta("mine", layout, ("a", "b"))) as writer:
        for i in range(4):
            x = 50 + RNG.normal(size=(6, 2, layout.num_joints, channels))
            writer.add(Sequence(f"c{i}", x, i % 2))
    describe(path, html=tmp_path / "c.html")
    assert (tmp_path / "c.html").read_text().count('<path d="M') >= 2


def test_names_are_escaped(tmp_path: Path) -> None:
    clip = Sequence("<script>alert(1)</script>", np.repeat(moving(1), 3, axis=0), 0)
    store = write(tmp_path / "s.arrow", [clip])
    describe(store.path, html=tmp_path / "c.html")
    assert "<script>alert" not in (tmp_path / "c.html").read_text()


def test_other_things_have_no_card(faulty: SkeletonStore, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--html writes the card of a skeleton store, .* is a directory"):
        describe(tmp_path, html=tmp_path / "c.html")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="--html .* cannot be written"):
        describe(faulty.path, html=tmp_path / "file" / "c.html")


def test_the_copies_of_nw_ucla(shared: Path, tmp_path: Path) -> None:
    """The release repeats 95 clips of its second view as clips of the third."""
    from kinelex.datasets import prepare

    prepare("nw_ucla", shared / "data" / "nw_ucla", tmp_path / "s.arrow", progress=False)
    store = open_store(tmp_path / "s.arrow")
    _, warned = check(store)
    assert warned["copies"].protocols == {"xview": 95}
    assert len(get_split(store, "xview").test) == 464
    assert warned["single_frame"].items == ["a02_s09_e04_v02", "a02_s09_e04_v03"]
