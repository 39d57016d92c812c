"""Which clips a prompt report is about, their classes, and how they are split for the probes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kinelex.data import PromptStore, SkeletonStore
from kinelex.data.splits.drawn import random_parts
from kinelex.data.splits.split import get_split
from kinelex.datasets.pku import class_names as pku_class_names
from kinelex.datasets.pku_names import parse_prompt_key, parse_video
from kinelex.errors import InputError
from kinelex.evaluation.baselines import clip_features


@dataclass
class Clips:
    """The clips that are judged: those of the skeleton store, without one those of the prompt stores.

    Shape:
        - labels, subjects: (n,) int64, -1 where unknown
    """

    ids: list[str]
    labels: np.ndarray
    class_names: tuple[str, ...]
    subjects: np.ndarray
    store: SkeletonStore | None = None

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def classes(self) -> np.ndarray:
        """The classes that occur, ascending."""
        return np.unique(self.labels[self.labels >= 0])

    def rows_in(self, prompts: PromptStore) -> np.ndarray:
        """Row of every clip in a prompt store, (n,); -1 where it is not there."""
        row = {clip: r for r, clip in enumerate(prompts.ids)}
        return np.array([row.get(clip, -1) for clip in self.ids], np.int64)


def clips_of(prompts: Sequence[PromptStore], store: SkeletonStore | None = None) -> Clips:
    """The clips that some prompt stores have in common with a skeleton store, or with each other.

    Without a skeleton store the classes are read from the ids where these are keys of PKU-MMD, as in the
    texts that C2VL's authors published. Prompts of another store or of different clips are refused.
    """
    if store is not None:
        for one in prompts:
            one.must_belong_to(store)
        return Clips(store.ids, store.labels, store.class_names, store.subjects, store)
    first = prompts[0]
    for other in prompts[1:]:
        differing = set(first.ids) ^ set(other.ids)
        if differing:
            raise InputError(
                f"{first.path} and {other.path} differ in {len(differing)} clips, for example "
                f"{min(differing)}: prompts can be compared on the same clips only"
            )
    labels, subjects = _read_ids(first.ids)
    names = pku_class_names() if (labels >= 0).any() else ()
    return Clips(first.ids, labels, names, subjects)


def _read_ids(ids: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Classes and subjects by the ids, all -1 where one of them is no key of PKU-MMD."""
    unknown = np.full(len(ids), -1, np.int64)
    try:
        keys = [parse_prompt_key(clip) for clip in ids]
    except InputError:
        return unknown, unknown
    videos = [parse_video(key.video) for key in keys]
    subjects = [-1 if v is None or v.subject is None else v.subject for v in videos]
    return np.array([key.label for key in keys], np.int64), np.array(subjects, np.int64)


def split_clips(clips: Clips, protocol: str | None, seed: int = 0) -> tuple[str, np.ndarray, np.ndarray]:
    """Name, training and test rows of the split on which probes are fitted; clips without label are in none.

    By default 80 % of every class train, drawn by seed.
    """
    if protocol is None:
        name = f"random:0.8:{seed}"
        train, test = random_parts(clips, name)
    elif clips.store is None:
        raise InputError(f"--protocol {protocol} needs the skeleton store too: pass it with --data")
    else:
        split = get_split(clips.store, protocol)
        name, train, test = split.name, split.train, split.test
    return name, train[clips.labels[train] >= 0], test[clips.labels[test] >= 0]


def features_of(prompts: PromptStore, clips: Clips) -> dict[str, np.ndarray]:
    """Per modality one vector per clip, (n, F) float32, NaN where a clip lacks it."""
    rows = clips.rows_in(prompts)
    features = {m: clip_features(prompts, m)[rows] for m in prompts.modalities}
    for vectors in features.values():
        vectors[rows < 0] = np.nan  # they were row -1
    return features
