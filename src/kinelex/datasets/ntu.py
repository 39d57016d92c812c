"""Readers of NTU RGB+D 60 and 120: one text file per clip, 25 joints of Kinect v2.

``SsssCcccPpppRrrrAaaa.skeleton``: setup, camera, performer, replication, action. Setups 1 to 17 with actions
1 to 60 are NTU RGB+D 60; setups 18 to 32 with actions 61 to 120 come on top in NTU RGB+D 120. The clips whose
skeletons are missing or incomplete by the authors' own list are left out.

Source: Shahroudy, Liu, Ng, Wang: NTU RGB+D: A large scale dataset for 3D human activity analysis, CVPR 2016;
Liu, Shahroudy, Perez, Wang, Duan, Kot: NTU RGB+D 120, TPAMI 2019. https://github.com/shahroudy/NTURGB-D
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any, ClassVar

from kinelex.data import Sequence, SkeletonStore
from kinelex.datasets.bodies import CLEANINGS
from kinelex.datasets.ntu_text import read_recording
from kinelex.datasets.reader import FilesReader, Item, class_names, parse_name
from kinelex.errors import InputError, unknown_name
from kinelex.files.walk import files_under

IMAGE_SIZE = (1080, 1920)  # of the colour pictures, height and width
FPS = 30.0  # of Kinect v2
_SUFFIX = ".skeleton"
_VIDEO_SUFFIX = "_rgb.avi"
_FORM = "SsssCcccPpppRrrrAaaa"
_NAME = re.compile(
    r"S(?P<setup>\d{3})C(?P<camera>\d{3})P(?P<performer>\d{3})R(?P<replication>\d{3})A(?P<action>\d{3})"
)


@lru_cache
def missing_skeletons() -> frozenset[str]:
    """Names of the 535 clips of NTU RGB+D 120 whose skeletons are missing or incomplete.

    >>> len(missing_skeletons()), len([n for n in missing_skeletons() if n < "S018"])
    (535, 302)
    """
    file = resources.files("kinelex.datasets").joinpath("ntu_missing.txt")
    lines = file.read_text(encoding="utf-8").splitlines()
    rows = [line.split() for line in lines if not line.startswith("#")]
    return frozenset(f"{start}A{int(action):03d}" for start, *actions in rows for action in actions)


class _NtuReader(FilesReader):
    """What the two releases have in common.

    Args:
        source: folder with the files, searched with all folders in it.
        denoise: how Kinect's bodies become persons: ``tracks`` (whole tracks, as CTR-GCN does) or ``energy``
            (places in the list of each frame, as CMD does).
    """

    expected = f"the files {_FORM}{_SUFFIX}"
    layout = "ntu25"
    pattern = f"*{_SUFFIX}"
    highest: ClassVar[dict[str, int]]  # of each number in a name

    def __init__(self, source: Path, *, denoise: str = "tracks") -> None:
        super().__init__(source)
        if denoise not in CLEANINGS:
            raise unknown_name("denoise", denoise, CLEANINGS)
        self.denoise = denoise

    @classmethod
    def class_names(cls) -> tuple[str, ...]:
        return class_names("ntu120")[: cls.highest["action"]]

    def prepared(self) -> dict[str, Any]:
        left_out = sum(path.stem in missing_skeletons() for path in self._files())
        return {"denoise": self.denoise, "left_out_as_missing": left_out}

    def items(self) -> list[Item]:
        return [Item(path) for path in self._files() if path.stem not in missing_skeletons()]

    def read(self, item: Item) -> Iterator[Sequence]:
        numbers = self.numbers(item.path)
        recording = read_recording(item.path)
        try:
            persons = CLEANINGS[self.denoise](recording)
        except InputError as error:
            raise InputError(f"{item.path}: {error}") from error
        yield Sequence(
            id=item.path.stem,
            coordinates=persons.coordinates,
            label=numbers["action"] - 1,
            subject=numbers["performer"],
            camera=numbers["camera"],
            setup=numbers["setup"],
            replication=numbers["replication"],
            image_coordinates=persons.pixels,
            image_size=IMAGE_SIZE,
            fps=FPS,
        )

    def numbers(self, path: Path) -> dict[str, int]:
        """Setup, camera, performer, replication and action in a file's name."""
        form = f"{_FORM}{_SUFFIX}, for example S001C002P003R002A013{_SUFFIX}"
        numbers = parse_name(path, _NAME, form)
        for name, number in numbers.items():
            most = self.highest[name]
            if not 1 <= number <= most:
                raise InputError(f"{path}: the name has {name} {number}, {self.dataset} has 1 to {most}")
        return numbers

    def _files(self) -> list[Path]:
        """The release's files in the order of their names."""
        found = [path for path in files_under(self.source, self.pattern) if self._is_ours(path)]
        return sorted(found, key=lambda path: (path.name, str(path)))

    def _is_ours(self, path: Path) -> bool:
        return True


class NtuReader60(_NtuReader):
    """NTU RGB+D 60. Files of setups 18 to 32 in the same folder belong to NTU RGB+D 120 and are passed over.

    >>> NtuReader60(Path("nturgb+d_skeletons"), denoise="motion")
    Traceback (most recent call last):
    kinelex.errors.InputError: unknown denoise 'motion'. Known: energy, tracks
    """

    dataset = "ntu60"
    highest: ClassVar = {"setup": 17, "camera": 3, "performer": 40, "replication": 2, "action": 60}

    def _is_ours(self, path: Path) -> bool:
        match = _NAME.fullmatch(path.stem)
        return match is None or not 18 <= int(match["setup"]) <= 32


class NtuReader120(_NtuReader):
    """NTU RGB+D 120, which contains NTU RGB+D 60."""

    dataset = "ntu120"
    highest: ClassVar = {"setup": 32, "camera": 3, "performer": 106, "replication": 2, "action": 120}


def rgb_file(source: str | Path | SkeletonStore, clip_id: str) -> Path:
    """The colour video of a clip, ``<clip_id>_rgb.avi``.

    Args:
        source: folder that is searched, once, with all folders in it; or a store, for the folder that it was
            prepared from.
        clip_id: id of the clip in the store, the name of its skeleton file.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> (folder / "S001C002P003R002A013_rgb.avi").touch()
    >>> rgb_file(folder, "S001C002P003R002A013").name
    'S001C002P003R002A013_rgb.avi'
    """
    folder = Path(source.meta.source) if isinstance(source, SkeletonStore) else Path(source)
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder: expects the one with the videos {_FORM}{_VIDEO_SUFFIX}")
    found = _videos(folder.absolute()).get(f"{clip_id}{_VIDEO_SUFFIX}", [])
    if not found:
        raise InputError(
            f"{folder} has no video {clip_id}{_VIDEO_SUFFIX}, neither have the folders in it: "
            f"expects the videos {_FORM}{_VIDEO_SUFFIX} of the data set"
        )
    if len(found) > 1:
        both = f"{found[0]}, {found[1]}"
        raise InputError(f"{folder} has {len(found)} videos {found[0].name}: {both}: keep one")
    return found[0]


@lru_cache(maxsize=4)
def _videos(folder: Path) -> dict[str, list[Path]]:
    """The videos under a folder by name."""
    videos: dict[str, list[Path]] = {}
    for path in files_under(folder, f"*{_VIDEO_SUFFIX}"):
        videos.setdefault(path.name, []).append(path)
    return videos
