"""Which videos there are, and what their folders say about them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kinelex.datasets.formats.conventions import numbered_classes
from kinelex.datasets.formats.manifest import MANIFEST, Manifest, Row, folder_manifest, read_manifest
from kinelex.errors import InputError

ENDINGS = (".mp4", ".avi", ".mkv", ".mov", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv", ".3gp", ".ts", ".mts")
EXPECTED = f"videos ({', '.join(ENDINGS)}), in a folder for each class where they have labels"


@dataclass(frozen=True)
class Video:
    """One video, and what is known about it.

    Args:
        path: the file.
        id: name of the clip.
        label: index of the class.
        splits: tags such as ``own:train``.
        passed_over: whether a manifest says how many frames it has, or their rate.
        wrong: why it cannot be a clip, where its name or folder tells.
    """

    path: Path
    id: str
    label: int | None = None
    splits: tuple[str, ...] = ()
    subject: int | None = None
    camera: int | None = None
    caption: str | None = None
    passed_over: bool = False
    wrong: str | None = None


def is_video(path: Path) -> bool:
    """Whether a file is called like a video.

    >>> is_video(Path("wave/One.MP4")), is_video(Path("notes.txt"))
    (False, False)
    """
    return path.suffix.lower() in ENDINGS and path.is_file()


def find_videos(sources: Sequence[Path]) -> tuple[list[Video], tuple[str, ...]]:
    """The videos among files and in folders, and the names of their classes.

    A folder with ``manifest.csv`` says by it which videos have which label, subject, split and caption;
    ``CLASS/clip.mp4`` gives labels, and ``train/CLASS/clip.mp4`` splits too; videos that lie in a folder
    itself have no label. A file that is named needs no ending of a video.

    Args:
        sources: files and folders.

    Raises:
        InputError: something that does not exist, a folder without a video, folders of classes that do not
            go together.

    >>> find_videos([Path("nowhere.mp4")])
    Traceback (most recent call last):
    kinelex.errors.InputError: nowhere.mp4 does not exist: expects a video, or a folder with videos
    """
    videos: list[Video] = []
    classes: list[tuple[str, ...]] = []
    for source in map(Path, sources):
        if source.is_dir():
            here, names = _in_folder(source)
            videos += here
            classes += [names] if names else []
        elif source.exists():
            videos.append(Video(source, source.stem))
        else:
            raise InputError(f"{source} does not exist: expects a video, or a folder with videos")
    if len(set(classes)) > 1:
        raise InputError(
            f"the folders have different classes ({', '.join(classes[0])} and {', '.join(classes[1])}): "
            "expects one folder with a folder for each class"
        )
    return videos, classes[0] if classes else ()


def _in_folder(folder: Path) -> tuple[list[Video], tuple[str, ...]]:
    manifest = folder / MANIFEST
    if manifest.is_file():
        listed = read_manifest(manifest)
    else:
        listed = folder_manifest(folder, is_video) or Manifest((), None, {})
    rows = [row for row in listed.rows if isinstance(row, Row)]
    videos = [_video(folder, row) for row in rows]
    videos += [Video(manifest, "", wrong=row) for row in listed.rows if isinstance(row, str)]
    if not manifest.is_file():
        videos += [Video(path, path.stem) for path in sorted(folder.iterdir()) if _is_loose(path)]
    if not videos:
        raise InputError(f"{folder} holds no video: expects {EXPECTED}")
    labels = [row.label for row in rows]
    return videos, listed.class_names or numbered_classes(labels)


def _is_loose(path: Path) -> bool:
    return is_video(path) and not path.name.startswith(".")


def _video(folder: Path, row: Row) -> Video:
    path, wrong = folder / row.file, None
    if row.start is not None or row.end is not None:
        wrong = f"{path}: the manifest has a start or an end; a video is read whole: cut it before"
    passed_over = row.frames is not None or row.fps is not None
    of = {name: getattr(row, name) for name in ("label", "subject", "camera", "caption")}
    return Video(path, row.id, splits=row.tags, passed_over=passed_over, wrong=wrong, **of)
