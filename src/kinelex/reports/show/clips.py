"""Which clips are shown, and what is said beside them: predictions of a run, prompts."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Sequence as Rows
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path

import numpy as np
from rich.console import Console

from kinelex.data import WHOLE_CLIP, Clip, PromptStore, Sequence, SkeletonStore, open_prompts, open_store
from kinelex.data.named_clips import NamedClips
from kinelex.datasets import get_split
from kinelex.datasets.single import ReadOptions
from kinelex.errors import InputError
from kinelex.inference.clips import Clips, clips_of_arrays, read_inputs
from kinelex.inference.load_model import load_model
from kinelex.inference.model import Model
from kinelex.reports.prompts.examples import cut, kept_pictures
from kinelex.runtime.predictions import ClipPrediction
from kinelex.skeleton import get_layout
from kinelex.training.run_directory import RunDirectory
from kinelex.training.store_runs import check_one_store

USUAL = 12  # clips, where nobody says how many
_MOST_TEXTS, _MOST_LETTERS = 24, 240  # beside a clip
_WITH_PICTURES = 24  # clips, beyond which pictures of prompts would make the page too large


@dataclass(frozen=True)
class ShowOptions:
    """What is shown.

    Args:
        clips: names of clips or of classes; by default some clips, spread over the classes.
        most: how many clips at most.
        run: a run that says of which class the clips are.
        prompts: a prompt store whose texts and pictures stand beside the clips.
        data: the store that ``run`` was trained on, where it is at another place now.
        top: how many classes are shown of a prediction.
        device: where the run's encoders compute.
        read: how raw clips are read.
    """

    clips: str | Rows[str] = ()
    most: int | None = None
    run: str | Path | None = None
    prompts: str | Path | None = None
    data: str | Path | None = None
    top: int = 3
    device: str = "cpu"
    read: ReadOptions = field(default_factory=ReadOptions)

    def __post_init__(self) -> None:
        for name in ("most", "top"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise InputError(f"{name} = {getattr(self, name)}: expects 1 or more")

    @property
    def names(self) -> list[str]:
        """What is asked for by name.

        >>> ShowOptions(clips="a_01, wave").names
        ['a_01', 'wave']
        """
        given = self.clips.split(",") if isinstance(self.clips, str) else self.clips
        return [name.strip() for name in given]


@dataclass
class Shown:
    """A clip and what stands beside it.

    Args:
        clip: the clip.
        prediction: what a run says of it.
        texts: what prompts say, each of a frame, or of the whole clip (None).
        pictures: ``<img>`` elements of its prompts.
        note: anything else, such as how similar it is to what was searched for.
    """

    clip: Clip
    prediction: ClipPrediction | None = None
    texts: list[tuple[int | None, str]] = field(default_factory=list)
    pictures: list[str] = field(default_factory=list)
    note: str = ""


def find_shown(source: object, options: ShowOptions, console: Console) -> tuple[list[Shown], list[str]]:
    """The clips of a source that are shown, and what there is to say about the choice.

    Args:
        source: a store, a run directory, a video, a clip, a folder of clips (or its path), or an array.
        options: which, and what stands beside them.
        console: where a run's messages go.

    Raises:
        InputError: a source that is not there or cannot be read, no such clip, or what a run or prompts lack.
    """
    notes: list[str] = []
    asked = options.run
    if isinstance(source, str | Path) and (Path(source) / "config.yaml").is_file():
        options, groups, rows = _of_run(Path(source), options, notes)
    else:
        groups, said = _read(source, options.read)
        notes += said
        rows = [np.arange(len(clips)) for clips in groups]
    chosen = _named(groups, rows, options) if options.names else _spread(groups, rows, options.most or USUAL)
    total = sum(map(len, rows))
    if options.names and len(chosen) > (options.most or len(chosen)):
        notes.append(f"{options.most} of the {len(chosen)} clips that were asked for: --most")
        chosen = chosen[: options.most]
    elif not options.names and len(chosen) < total:
        notes.append(f"{len(chosen)} of {total} clips, spread over the classes: --most N, --clips NAMES")
    shown = [Shown(one_clip(groups[group], row)) for group, row in chosen]
    if options.run is not None:
        try:
            _predict(
                shown, load_model(options.run, data=options.data, device=options.device, console=console)
            )
        except InputError as error:
            if asked is not None:
                raise
            notes.append(f"without predictions: {error}")
    if options.prompts is not None:
        add_prompts(shown, open_prompts(options.prompts))
    return shown, notes


def one_clip(clips: Clips, row: int) -> Clip:
    """A clip of a store, or of clips in memory."""
    if isinstance(clips, SkeletonStore):
        return clips.clip(row)
    fps = None if np.isnan(clips.fps[row]) else float(clips.fps[row])
    return Clip(clips.ids[row], clips.sequence(row), clips.layout, None, fps)


def _read(source: object, read: ReadOptions) -> tuple[list[Clips], list[str]]:
    if isinstance(source, SkeletonStore | NamedClips):
        return [source], []
    if isinstance(source, Clip):
        return [_in_memory([source])], []
    if isinstance(source, str | Path):
        if not Path(source).exists():
            raise InputError(f"{source} does not exist: expects a store, a run directory, a video or a clip")
        return read_inputs([Path(source)], read)
    if read.layout is None:
        raise InputError("an array does not say which joints it has: pass layout=, for example ntu25")
    arrays = [source] if isinstance(source, np.ndarray) else list(source)  # type: ignore[call-overload]
    return [clips_of_arrays(arrays, get_layout(read.layout), read.fps)], []


def _in_memory(clips: Rows[Clip]) -> NamedClips:
    return NamedClips([Sequence(c.id, c.coordinates, fps=c.fps) for c in clips], clips[0].layout)


def _of_run(
    run: Path, options: ShowOptions, notes: list[str]
) -> tuple[ShowOptions, list[Clips], list[np.ndarray]]:
    """The test clips of a run, with its own predictions, and its prompts where they are still there."""
    check_one_store(RunDirectory(run))
    config = RunDirectory(run).config
    path, protocol = options.data or config["data"], config["protocol"]
    if path is None or not Path(path).is_file():
        raise InputError(f"the store that {run} was trained on is not there ({path}): pass --data STORE")
    store = open_store(path)
    rows = np.arange(len(store)) if options.names or protocol is None else get_split(store, protocol).test
    if not options.names and protocol is not None:
        notes.append(f"clips of the test part of {protocol}")
    prompts = options.prompts
    if prompts is None and config["prompts"] is not None and Path(config["prompts"]).is_file():
        prompts = config["prompts"]
    return replace(options, run=options.run or run, prompts=prompts), [store], [rows]


def _spread(groups: list[Clips], rows: list[np.ndarray], most: int) -> list[tuple[int, int]]:
    """Some clips: the first of each class, then the second, and so on; shown class by class."""
    order = []
    for group, (clips, own) in enumerate(zip(groups, rows, strict=True)):
        seen: dict[int, int] = {}
        for row in own.tolist():
            label = int(clips.labels[row])
            seen[label] = seen.get(label, 0) + 1
            order.append((seen[label], group, label, row))
    if not order:
        raise InputError(f"{groups[0].path} has no clip to show")
    turns = [turn for turn, *_ in order]
    last = sorted(turns)[min(most, len(turns)) - 1]
    whole = [one for one in order if one[0] < last]
    some = [one for one in order if one[0] == last]
    places = np.unique(np.linspace(0, len(some) - 1, most - len(whole)).round().astype(int))
    whole += [some[place] for place in places] if most < len(order) else some
    return [(group, row) for _, group, _, row in sorted(whole, key=lambda one: one[1:])]


def _named(groups: list[Clips], rows: list[np.ndarray], options: ShowOptions) -> list[tuple[int, int]]:
    ids = {name: (g, r) for g, clips in enumerate(groups) for r, name in enumerate(clips.ids)}
    classes: dict[str, list[tuple[int, int]]] = {}
    for g, clips in enumerate(groups):
        names = clips.class_names if isinstance(clips, SkeletonStore) else ()
        for r in rows[g].tolist():
            if clips.labels[r] >= 0:
                classes.setdefault(names[clips.labels[r]], []).append((g, r))
    found: dict[tuple[int, int], None] = {}
    for name in options.names:
        if name not in ids and name not in classes:
            close = get_close_matches(name, [*classes, *ids], n=1)
            hint = f"did you mean {close[0]!r}? " if close else ""
            raise InputError(
                f"no clip or class {name!r} in {groups[0].path}: {hint}expects names with commas"
            )
        found |= dict.fromkeys([ids[name]] if name in ids else classes[name])
    return list(found)


def _predict(shown: list[Shown], model: Model) -> None:
    groups: dict[tuple[object, ...], list[Shown]] = {}
    for one in shown:
        groups.setdefault((one.clip.layout, one.clip.coordinates.shape[3]), []).append(one)
    for some in groups.values():
        said = model.predict_clips([_in_memory([one.clip for one in some])])
        for one, prediction in zip(some, said, strict=True):
            one.prediction = prediction


def add_prompts(shown: Iterable[Shown], prompts: PromptStore) -> None:
    """Texts and kept pictures of a prompt store beside the clips that it has."""
    shown, known = list(shown), set(prompts.ids)
    if not any(one.clip.id in known for one in shown):
        raise InputError(
            f"{prompts.path} has no prompts for any of these clips: expects those of their store"
        )
    for one in (one for one in shown if one.clip.id in known):
        language = prompts.clip(one.clip.id).language
        said: dict[str, int | None] = {}
        if language is not None and language.texts is not None:
            pairs = sorted(zip(language.frames.tolist(), language.texts, strict=True), key=lambda p: p[0])
            for frame, text in pairs:
                said.setdefault(cut(text, _MOST_LETTERS), None if frame == WHOLE_CLIP else frame)
        one.texts = [(frame, text) for text, frame in said.items()][:_MOST_TEXTS]
        if len(shown) <= _WITH_PICTURES:
            one.pictures = kept_pictures(prompts, one.clip.id)
