"""The published sizes of NTU's protocols, from the complete list of names.

Names are setup, camera, performer, replication, action; every performer of a setup did all of its actions
twice before three cameras. Who was there in which setup is told by the lists of available clips that come
with published preparations (CTR-GCN's `statistics`).
"""

from itertools import product
from pathlib import Path

import numpy as np
import pytest

from kinelex.data import Sequence, SkeletonStoreWriter, StoreMeta, open_store
from kinelex.datasets import split_sizes
from kinelex.datasets.ntu import NtuReader60, NtuReader120, missing_skeletons
from kinelex.skeleton import get_layout

PERFORMERS = {
    1: [1, 2, 3, 4, 5, 6, 7, 8],
    2: [3, 7, 8, 9, 10, 11, 12, 13, 14],
    3: [1, 2, 7, 8, 15, 16, 17, 18, 19],
    4: [3, 7, 8, 20],
    5: [4, 10, 13, 15, 16, 17, 18, 21],
    6: [1, 7, 8, 15, 16, 17, 19, 22, 23, 24],
    7: [1, 7, 8, 15, 16, 17, 18, 19, 25, 26, 27, 28],
    8: [1, 7, 8, 15, 19, 25, 29, 30, 31, 32, 33, 34, 35, 36],
    9: [7, 8, 15, 16, 17, 19, 25],
    10: [7, 8, 13, 15, 16, 17, 18, 19, 21, 25],
    11: [1, 2, 7, 8, 15, 16, 17, 18, 19, 25, 27, 28, 38],
    12: [7, 8, 15, 16, 17, 18, 19, 25, 27, 28, 37],
    13: [7, 8, 15, 16, 17, 18, 19, 25, 27, 28, 37],
    14: [7, 8, 15, 17, 19, 25, 27, 37, 39],
    15: [7, 8, 15, 16, 17, 19, 25, 37],
    16: [7, 8, 19, 21, 25, 39, 40],
    17: [3, 7, 8, 9, 15, 16, 17, 20],
    18: [8, 41, 42, 43, 44, 45],
    19: [8, 41, 42, 46, 47, 48, 49, 50, 51],
    20: [8, 41, 43, 44, 52, 53, 54],
    21: [55, 56, 57, 58, 59, 60],
    22: [61, 62, 63, 64, 65, 66, 67],
    23: [55, 56, 57, 58, 59, 60, 61, 62, 63, 64, 65, 66, 67, 68],
    24: [57, 60, 61, 62, 63, 64, 67],
    25: [55, 56, 58, 59, 65, 66, 68],
    26: [8, 41, 44, 49, 50, 51, 69, 70, 71, 72, 74, 75, 76, 77],
    27: [6, 8, 11, 41, 43, 44, 78, 79, 80, 81, 82, 83, 84, 85, 86],
    28: [8, 41, 42, 43, 46, 48, 70, 73, 87],
    29: [6, 8, 41, 43, 44, 48, 49, 51, 67, 74, 75, 80, 88, 89, 90],
    30: [8, 11, 41, 43, 44, 48, 67, 75, 76, 81, 85, 88, 91, 92, 93, 94, 95, 96],
    31: [6, 8, 41, 42, 43, 44, 51, 67, 82, 85, 96, 97, 98, 99, 100, 101],
    32: [8, 41, 43, 44, 67, 102, 103, 104, 105, 106],
}


def names(setups: int) -> list[str]:
    """All names of the first setups, those with missing skeletons too."""
    found = []
    for setup in range(1, setups + 1):
        actions = range(1, 61) if setup <= 17 else range(61, 121)
        for c, p, r, a in product((1, 2, 3), PERFORMERS[setup], (1, 2), actions):
            found.append(f"S{setup:03d}C{c:03d}P{p:03d}R{r:03d}A{a:03d}")
    return found


def test_the_list_of_names_is_complete():
    assert (len(names(17)), len(names(32))) == (56880, 114480)
    assert missing_skeletons() <= set(names(32))
    assert {p for setup in range(1, 18) for p in PERFORMERS[setup]} == set(range(1, 41))
    assert {p for performers in PERFORMERS.values() for p in performers} == set(range(1, 107))


@pytest.mark.parametrize(
    ("dataset", "setups", "sizes"),
    [
        ("ntu60", 17, {"xsub": (40091, 16487), "xview": (37646, 18932)}),
        ("ntu120", 32, {"xsub": (63026, 50919), "xset": (54468, 59477)}),
    ],
)
def test_sizes_are_the_published_ones(dataset: str, setups: int, sizes, tmp_path: Path):
    reader = {"ntu60": NtuReader60, "ntu120": NtuReader120}[dataset](tmp_path)
    frame = np.ones((1, 1, 15, 3), np.float32)
    meta = StoreMeta(dataset, get_layout("sbu15"), reader.meta().class_names)  # few joints: names count here
    with SkeletonStoreWriter(tmp_path / "names.arrow", meta) as writer:
        for name in names(setups):
            if name in missing_skeletons():
                continue
            numbers = reader.numbers(Path(f"{name}.skeleton"))
            action, subject = numbers.pop("action") - 1, numbers.pop("performer")
            writer.add(Sequence(name, frame, action, subject, **numbers))
    found = split_sizes(open_store(tmp_path / "names.arrow"))
    assert {protocol: found[protocol] for protocol in sizes} == sizes
