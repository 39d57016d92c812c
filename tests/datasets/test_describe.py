"""What `info` says about a store."""

import json
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from kinelex.data import Sequence, SkeletonStore, SkeletonStoreWriter, StoreMeta, open_store
from kinelex.datasets import describe_store, prepare, render_store
from kinelex.skeleton import get_layout


@pytest.fixture
def store(tmp_path: Path) -> SkeletonStore:
    meta = StoreMeta("actors", get_layout("sbu15"), ("wave", "bow"), "metres", "simulated", {"seed": 3})
    with SkeletonStoreWriter(tmp_path / "s.arrow", meta) as writer:
        for i, (frames, persons) in enumerate([(2, 1), (9, 2), (4, 1), (5, 1)]):
            x = np.ones((frames, persons, 15, 3))
            label = None if i == 3 else 0
            writer.add(
                Sequence(f"c{i}", x, label, subject=i + 5, camera=i % 3 + 1, caption="waves" * (i < 2))
            )
    return open_store(tmp_path / "s.arrow")


def test_description(store: SkeletonStore) -> None:
    found = describe_store(store)
    assert found["sequences"] == 4
    assert found["classes"] == {"wave": 3, "bow": 0}
    assert found["unlabelled"] == 1
    assert found["subjects"] == {"5": 1, "6": 1, "7": 1, "8": 1}
    assert found["cameras"] == {"1": 2, "2": 1, "3": 1}
    assert found["setups"] == {}
    assert found["persons"] == {"1": 3, "2": 1}
    assert found["frames"] == {"min": 2, "median": 4.5, "max": 9, "total": 20}
    assert found["layout"] == {"name": "sbu15", "joints": 15, "channels": 3}
    assert found["protocols"]["xsub"] == {"train": 2, "test": 2}
    assert found["prepared"] == {"seed": 3}
    assert found["bytes"] == store.path.stat().st_size
    assert json.loads(json.dumps(found)) == found


def _rendered(store: SkeletonStore) -> str:
    console = Console(width=120)
    with console.capture() as capture:
        console.print(render_store(describe_store(store)))
    return capture.get()


def _cells(text: str) -> list[list[str]]:
    lines = [line.replace("┃", "│") for line in text.splitlines()]
    return [[cell.strip() for cell in line.strip("│").split("│")] for line in lines if "│" in line]


def test_tables(store: SkeletonStore) -> None:
    rows = _cells(_rendered(store))
    for row in (
        ["sequences", "4"],
        ["without a label", "1"],
        ["cameras", "3 (1, 2, 3)"],
        ["persons", "1 in 3 clips, 2 in 1 clips"],
        ["frames (min/median/max)", "2/4.5/9"],
        ["prepared", "seed: 3"],
        ["unseen", "2", "1"],
        ["0", "wave", "3"],
    ):
        assert row in rows


def test_brackets_in_names_are_shown(tmp_path: Path) -> None:
    path = tmp_path / "s.arrow"
    meta = StoreMeta("mine", get_layout("sbu15"), ("[bold]wave[/bold]",), "metres", "raw/[red]")
    with SkeletonStoreWriter(path, meta) as writer:
        writer.add(Sequence("c", np.ones((2, 1, 15, 3)), 0))
    console = Console(record=True, width=100)
    console.print(render_store(describe_store(open_store(path))))
    shown = console.export_text()
    assert "[bold]wave[/bold]" in shown
    assert "raw/[red]" in shown


def test_the_numbers_of_nw_ucla(shared: Path, tmp_path: Path) -> None:
    prepare("nw_ucla", shared / "data" / "nw_ucla", tmp_path / "s.arrow", progress=False)
    rows = _cells(_rendered(open_store(tmp_path / "s.arrow")))
    for row in (
        ["sequences", "1 484"],
        ["classes", "10"],
        ["subjects", "10 (1, 2, 3, 4, 5, 6, 7, 8, 9, 10)"],
        ["cameras", "3 (1, 2, 3)"],
        ["frames (min/median/max)", "1/31/201"],
        ["xview", "1 020", "464"],
        ["loso:1 to loso:10", "1 322 to 1 365", "119 to 162"],
    ):
        assert row in rows
