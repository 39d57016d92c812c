"""What is predicted: arrays, files, folders and stores as clips that an encoder reads."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Sequence as Rows
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from kinelex.data import Sequence, SkeletonStore, open_store
from kinelex.data.arrow import kind_of
from kinelex.data.named_clips import NamedClips
from kinelex.data.sequence import SKELETONS
from kinelex.datasets.single import RawClips, ReadOptions, read_source
from kinelex.errors import InputError
from kinelex.inference.windows import part_of
from kinelex.pose.sources import is_video
from kinelex.skeleton import SkeletonLayout

Clips = SkeletonStore | NamedClips


def clips_of_arrays(
    frames: Rows[np.ndarray], layout: SkeletonLayout, fps: float | Rows[float] | None = None
) -> NamedClips:
    """Arrays as clips, named ``clip 0`` and so on.

    Args:
        frames: the clips.
        layout: the layout of their joints.
        fps: frames per second, of all clips or of each.

    Shape:
        - frames: each (T, V, C) or (T, M, V, C), C 2 or 3

    Raises:
        InputError: another form, other joints than the layout's, no frames, numbers that are none, or rates
            of another number.

    >>> from kinelex.skeleton import get_layout
    >>> clips_of_arrays([np.ones((9, 25, 3))], get_layout("ntu25")).persons.tolist()
    [1]
    """
    try:
        rates = np.broadcast_to(np.array(np.nan if fps is None else fps, dtype=float), len(frames))
    except ValueError as error:
        raise InputError(
            f"expects fps as one number, or one for each of {len(frames)} clips, got {fps!r}"
        ) from error
    clips = []
    for number, (given, rate) in enumerate(zip(frames, rates, strict=True)):
        x = np.asarray(given)
        if x.ndim not in (3, 4) or x.shape[-1] not in (2, 3) or x.dtype.kind not in "fiu":
            raise InputError(
                f"clip {number} expects numbers (T, V, C) or (T, M, V, C): frames, persons, joints and 2 or "
                f"3 coordinates, got shape {x.shape} of {x.dtype}"
            )
        x = x[:, None] if x.ndim == 3 else x
        if x.shape[2] != layout.num_joints:
            raise InputError(
                f"clip {number} has {x.shape[2]} joints, expects {layout.num_joints} ({layout.name}): pass "
                "layout= with the name of its layout, and it is retargeted"
            )
        with np.errstate(over="ignore", invalid="ignore"):
            x = np.ascontiguousarray(x, np.float32)
        clips.append(Sequence(f"clip {number}", x, fps=None if np.isnan(rate) else float(rate)))
    return NamedClips(clips, layout)


def read_inputs(
    sources: Iterable[Path], options: ReadOptions, dataset: str | None = None, elsewhere: bool = False
) -> tuple[list[Clips], list[str]]:
    """Files, folders and stores as clips, and what there is to say about them.

    Args:
        sources: skeleton stores, clips, folders of clips, videos.
        options: how raw clips are read.
        dataset: the data set whose raw files are looked for first.
        elsewhere: the options are of use for other clips too, so that no source has to need them.

    Raises:
        InputError: a source that is not there or cannot be read, a folder without a clip, a video without a
            person or without the pose engine, or options for a store or a video.
    """
    found: list[Clips] = []
    notes: list[str] = []
    for source in sources:
        if is_video(source):
            _refuse_options(options, source, "a video", elsewhere)
            found.append(_persons_of(source))
            continue
        kind = kind_of(source) if source.is_file() else None
        if kind is not None and kind != SKELETONS.name:
            raise InputError(f"{source} is a {kind}: expects clips or a skeleton store")
        if kind is not None or source.suffix == ".arrow":
            _refuse_options(options, source, "a store", elsewhere)
            found.append(open_store(source))
            continue
        groups = read_source(source, options, dataset)
        found += _together(groups, source)
        notes += dict.fromkeys(note for group in groups for note in group.notes)
        skipped = [one.reason for group in groups for one in group.skipped]
        if skipped:
            notes.append(f"{len(skipped)} files of {source} are no clips, the first: {skipped[0]}")
    return found, notes


def _refuse_options(options: ReadOptions, source: Path, kind: str, elsewhere: bool) -> None:
    """Raise an InputError where options of raw clips are given for what says all itself alone."""
    if not elsewhere and (options.given() or options.reader):
        option = next(iter(options.given()), "reader")
        raise InputError(f"--{option} is for raw clips, and {source} is {kind}: leave it out")


def _persons_of(video: Path) -> NamedClips:
    """The persons in a video, found as ``kinelex pose`` finds them without options."""
    from kinelex.pose import estimate  # here, as engines take long to import

    with TemporaryDirectory() as folder:
        store = open_store(estimate(video, Path(folder) / "clips.arrow", progress=False, workers=1).store)
        clips = [clip_of(store, row, name) for row, name in enumerate(store.ids)]
        return NamedClips(clips, store.layout, video)


def _together(groups: list[RawClips], source: Path) -> list[Clips]:
    """Neighbours of one layout and as many coordinates as one."""
    found: list[Clips] = []
    waiting: list[Sequence] = []
    for number, group in enumerate(groups):
        waiting += group.clips
        after = groups[number + 1] if number + 1 < len(groups) else None
        if after is None or _form(after) != _form(group):
            found.append(NamedClips(waiting, group.meta.layout, source))
            waiting = []
    return found


def _form(group: RawClips) -> tuple[tuple[str, ...], int]:
    return group.meta.layout.joints, group.clips[0].coordinates.shape[3]


def persons_alone(clips: Clips, rows: np.ndarray) -> tuple[NamedClips | None, list[int]]:
    """Each person of clips with several, as a clip of its own.

    Args:
        clips: the clips.
        rows: which of them.

    Returns:
        These clips, None where no clip has several persons, and for each the place of its clip in ``rows``.
    """
    alone, places = [], []
    for place, row in enumerate(rows.tolist()):
        if clips.persons[row] < 2:
            continue
        x = clips.sequence(row)
        there = np.flatnonzero(np.asarray(x.any(axis=(0, 2, 3))))
        for person in there if len(there) > 1 else ():
            name = f"{clips.ids[row]}, person {person}"
            alone.append(part_of(clip_of(clips, row, name), persons=slice(person, person + 1)))
            places.append(place)
    return (NamedClips(alone, clips.layout, clips.path) if alone else None), places


def clip_of(clips: Clips, row: int, name: str) -> Sequence:
    """A row's clip in memory, with what is known beside its coordinates."""
    rate, pixels, scores = float(clips.fps[row]), clips.image_coordinates(row), clips.scores(row)
    return Sequence(
        name,
        np.array(clips.sequence(row)),
        fps=None if np.isnan(rate) else rate,
        image_coordinates=None if pixels is None else np.array(pixels),
        scores=None if scores is None else np.array(scores),
        image_size=clips.image_size(row),
    )
