"""Which video belongs to which clip, and which part of it."""

import os
from pathlib import Path

from kinelex.data import SkeletonStore
from kinelex.datasets.pku import parse_prompt_key
from kinelex.errors import InputError
from kinelex.files.walk import walk

ENDINGS = (".mp4", ".avi", ".mkv", ".mov")
_BESIDE = ("", "_rgb", "_color")  # what may follow an id in the name: NTU RGB+D, UTD-MHAD


def pku_video(clip: str) -> str | None:
    """The name of the video of PKU-MMD that a clip lies in, or None if its id is none of that set.

    >>> pku_video("F002V001C001L012"), pku_video("S001C001P001R001A001")
    ('0002-L', None)
    """
    try:
        return parse_prompt_key(clip).video
    except InputError:
        return None


def find_videos(folder: Path, store: SkeletonStore) -> dict[str, tuple[Path, bool]]:
    """The videos of a store's clips: path, and whether it is the whole recording that the clip lies in.

    The folder is searched with all folders in it. ``<id>.avi`` (or .mp4, .mkv, .mov), ``<id>_rgb.avi`` (NTU
    RGB+D) and ``<id>_color.avi`` (UTD-MHAD) are a clip's own; ``0002-L.avi`` is a recording of PKU-MMD.
    """
    videos = _walk(folder)
    of_clips: dict[str, tuple[Path, bool]] = {}
    for clip in store.ids:
        paths = [path for ending in _BESIDE for path in videos.get(f"{Path(clip).name}{ending}", [])]
        recording = None if paths else pku_video(clip)
        paths = videos.get(recording, []) if recording else paths
        if len(paths) > 1:
            raise InputError(f"two videos are named as the clip {clip}: {paths[0]} and {paths[1]}: keep one")
        if paths:
            of_clips[clip] = paths[0], recording is not None
    if not of_clips:
        name = pku_video(store.ids[0]) or f"{store.ids[0]}_rgb"
        example = next((path.name for paths in videos.values() for path in paths), None)
        names = f"named as {example}" if example else f"none, no file ends in {', '.join(ENDINGS)}"
        raise InputError(
            f"{folder} has no video of any clip of {store.path}: expects names such as {name}.avi or "
            f"{store.ids[0]}.mp4, also in folders in it; the videos there are {names}"
        )
    return of_clips


def _walk(folder: Path) -> dict[str, list[Path]]:
    """Video files by name without its ending."""
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder: expects the one with the videos (--source DIR)")
    videos: dict[str, list[Path]] = {}
    for parent, _, names in walk(folder):
        for name in names:
            stem, ending = os.path.splitext(name)
            if ending.lower() in ENDINGS and not name.startswith("."):
                videos.setdefault(stem, []).append(parent / name)
    return videos
