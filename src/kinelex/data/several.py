"""Several skeleton stores that one training reads: rows one after another, clips of a batch store by store.

Clips keep their layout, their number of persons, their rate and their dimensions until they are prepared; see
:class:`kinelex.transforms.several.SeveralPipelines`.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from kinelex.data.batch import Batch
from kinelex.data.clip_prompts import Prompts, StorePrompts
from kinelex.data.dataset import ClipDataset
from kinelex.data.prompt_store import PromptStore
from kinelex.data.scored_clips import clips_to_read
from kinelex.data.sequence import StoreMeta
from kinelex.data.skeleton_store import SkeletonStore, open_store
from kinelex.errors import InputError
from kinelex.options import listed
from kinelex.skeleton import SkeletonLayout, get_layout, joined_layout

CORE = "core16"  # the layout of trainings on several stores, where the recipe names no other


class SeveralStores:
    """Skeleton stores as one: the rows of the second follow those of the first, and so on.

    Args:
        stores: the stores, of any layouts.

    Attributes:
        names: by which the stores go: their data sets', or their files' where two are of one set; of files
            that are called alike the number comes after it.
        class_names: the classes of all of them, each with its store's name before it.
        starts: the row at which each store begins, and the number of clips behind them.

    Raises:
        InputError: a store twice.
    """

    def __init__(self, stores: Sequence[SkeletonStore]) -> None:
        self.stores = tuple(stores)
        prints = [store.fingerprint for store in self.stores]
        twice = next((s for s in self.stores if prints.count(s.fingerprint) > 1), None)
        if twice is not None:
            raise InputError(f"{twice.path} is there twice: expects every store once")
        sets, stems = ([s.meta.dataset for s in self.stores], [s.path.stem for s in self.stores])
        names = [a if sets.count(a) == 1 else b for a, b in zip(sets, stems, strict=True)]
        self.names = tuple(n if names.count(n) == 1 else f"{n}_{k}" for k, n in enumerate(names, start=1))
        self.starts = np.cumsum([0, *map(len, self.stores)])
        firsts = np.cumsum([0, *(len(store.class_names) for store in self.stores)])
        labels = [np.where(s.labels < 0, -1, s.labels + k) for s, k in zip(self.stores, firsts, strict=False)]
        self.labels = np.concatenate(labels)
        self.persons, self.lengths, self.fps = (
            np.concatenate([getattr(store, column) for store in self.stores])
            for column in ("persons", "lengths", "fps")
        )
        pairs = zip(self.names, self.stores, strict=True)
        self.class_names = tuple(f"{name}: {c}" for name, store in pairs for c in store.class_names)
        self.channels = max(store.channels for store in self.stores)
        self.path = Path(",".join(str(store.path) for store in self.stores))
        self.meta = StoreMeta(",".join(self.names), get_layout(CORE), self.class_names)

    def __len__(self) -> int:
        return int(self.starts[-1])

    @property
    def layout(self) -> SkeletonLayout:
        """The layout that clips are brought to by default."""
        return self.meta.layout

    @property
    def fingerprint(self) -> str:
        """Identifies what is in all the stores."""
        return hashlib.sha256("\n".join(s.fingerprint for s in self.stores).encode()).hexdigest()[:16]

    def located(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The number of each row's store, and its row there.

        Shape:
            - rows: (n,); returns: (n,), (n,)
        """
        which = np.searchsorted(self.starts, rows, side="right") - 1
        return which, rows - self.starts[which]


Stores = SkeletonStore | SeveralStores


def listed_paths(text: str | Path) -> list[str]:
    """The files that a text names, with commas between them; a file that has a comma itself is one.

    >>> listed_paths("a.arrow,b.arrow")
    ['a.arrow', 'b.arrow']
    """
    whole = str(text)
    return [whole] if os.path.exists(whole) else listed(whole)


def open_stores(data: str | Path) -> Stores:
    """A skeleton store, or several: their files with commas between them.

    Raises:
        InputError: no file, no store, or damaged; or a store twice.
    """
    paths = listed_paths(data) or [str(data)]
    return SeveralStores([*map(open_store, paths)]) if len(paths) > 1 else open_store(paths[0])


def target_layout(name: str | None, store: Stores) -> SkeletonLayout:
    """The layout that clips are brought to, see ``input.layout``."""
    if name == "joined":
        stores = store.stores if isinstance(store, SeveralStores) else (store,)
        return joined_layout(one.layout for one in stores)
    return store.layout if name is None else get_layout(name)


class SeveralPrompts(StorePrompts):
    """The prompts of several stores' clips; stores without prompts have none of any modality.

    Args:
        prompts: prompt stores.
        stores: the skeleton stores; each prompt store belongs to the one whose fingerprint it says.
        modalities: ``language`` and ``vision``; by default what the prompt stores have.

    Raises:
        InputError: a prompt store of no skeleton store, pictures asked for, or vectors of different shapes.
    """

    def __init__(
        self, prompts: Sequence[PromptStore], stores: SeveralStores, modalities: tuple[str, ...] | None
    ) -> None:
        given = {_owner(one, stores): one for one in prompts}
        asked = modalities or tuple(dict.fromkeys(m for one in prompts for m in one.modalities))
        if "images" in asked:
            raise InputError(
                "tiled pictures are read from one store: train on it alone, or method.images=cached"
            )
        self._tiled, self.embedded = None, {}
        for modality in asked:
            parts = {
                number: StorePrompts(one, stores.stores[number], (modality,)).embedded[modality]
                for number, one in given.items()
                if modality in one.modalities
            }
            if not parts:
                raise InputError(f"none of the prompt stores has {modality} prompts")
            self.embedded[modality] = _side_by_side(modality, parts, stores)


def _owner(prompts: PromptStore, stores: SeveralStores) -> int:
    for number, store in enumerate(stores.stores):
        if prompts.belongs_to(store):
            return number
    raise InputError(
        f"{prompts.path} was made for another store ({prompts.meta.dataset}) than {stores.path}: make "
        "prompts with `kinelex prompts STORE --out PROMPTS ...`"
    )


def _side_by_side(modality: str, parts: Mapping[int, Prompts], stores: SeveralStores) -> Prompts:
    """Prompts of all stores' rows, in order; zeros where a store has none."""
    shapes = {prompts.shape for prompts in parts.values()}
    if len(shapes) > 1:
        said = " and ".join(f"{s.count} a clip of width {s.width} (clip {s.clip_width})" for s in shapes)
        raise InputError(
            f"the stores' {modality} prompts have different shapes ({said}): make them with the same engines "
            "and as many frames"
        )
    some = next(iter(parts.values()))

    def column(name: str) -> Tensor | None:
        first = getattr(some, name)
        if first is None:
            return None
        whole = first.new_zeros(len(stores), *first.shape[1:])
        for number, prompts in parts.items():
            whole[stores.starts[number] : stores.starts[number + 1]] = getattr(prompts, name)
        return whole

    present = torch.zeros(len(stores), dtype=torch.bool)
    for number, prompts in parts.items():
        present[stores.starts[number] : stores.starts[number + 1]] = prompts.mask
    return Prompts(column("frame"), column("clip"), present)


@dataclass
class SeveralBatch:
    """Clips of several stores: a batch of each that has some, by its number, in this order.

    Shape:
        - labels: (N,) int64, classes of all stores together, -1 where a clip has none.
    """

    parts: dict[int, Batch]
    labels: Tensor
    prompts: dict[str, Prompts] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.labels)

    def to(self, device: torch.device | str) -> SeveralBatch:
        """The batch with all tensors on a device."""
        return replace(
            self,
            parts={number: batch.to(device) for number, batch in self.parts.items()},
            labels=self.labels.to(device, non_blocking=True),
            prompts={m: p.to(device) for m, p in self.prompts.items()},
        )


class SeveralDataset(Dataset[SeveralBatch]):
    """Clips of several stores, for :class:`~kinelex.data.loader.SkeletonLoader`.

    Args:
        stores: the stores.
        rows: the rows that will be asked for.
        prompts: the prompts of all clips.
        scores: read poses in pictures, see :func:`~kinelex.data.scored_clips.clips_to_read`.
        options: ``placement``, ``device`` and ``places`` of :class:`~kinelex.data.dataset.ClipDataset`.
    """

    def __init__(
        self,
        stores: SeveralStores,
        rows: np.ndarray,
        prompts: StorePrompts | None = None,
        scores: bool = False,
        **options: Any,
    ) -> None:
        self.stores, self.prompts = stores, prompts
        which, own = stores.located(rows)
        self._datasets = []
        for number, store in enumerate(stores.stores):
            mine = own[which == number]
            self._datasets.append(ClipDataset(clips_to_read(store, mine, scores), rows=mine, **options))

    def batch(self, rows: np.ndarray) -> SeveralBatch:
        """The batch of clips by their rows, store by store.

        Shape:
            - rows: (N,)
        """
        rows = rows[np.argsort(self.stores.located(rows)[0], kind="stable")]
        which, own = self.stores.located(rows)
        parts = {int(k): self._datasets[k].batch(own[which == k]) for k in np.unique(which)}
        prompts = {} if self.prompts is None else self.prompts.batch(rows)
        return SeveralBatch(parts, torch.from_numpy(self.stores.labels[rows]), prompts)
