"""The prompts of clips as arrays: row by row beside a skeleton store, or beside arrays of one's own."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kinelex.data.prompt_store import PromptStore
from kinelex.data.skeleton_store import SkeletonStore
from kinelex.errors import InputError


@dataclass(frozen=True)
class PromptShape:
    """What a modality's prompts look like.

    Args:
        count: prompts of single frames per clip (P).
        width: their width; 0 if there are none.
        clip_width: width of the whole clip's own prompt; 0 if there is none.
    """

    count: int
    width: int
    clip_width: int = 0


@dataclass
class PromptStatistics:
    """What the prompts of the training part look like, with the mean and scale of frames' and clips' ones.

    One scale for all dimensions: directions that do not vary must not become noise.

    Shape:
        - frame_mean: (width,); clip_mean: (clip_width,); the scales are scalars.
    """

    shape: PromptShape
    frame_mean: Tensor
    frame_scale: Tensor
    clip_mean: Tensor
    clip_scale: Tensor


@dataclass
class Prompts:
    """The prompts of one modality for N clips; arrays become tensors.

    Args:
        frame: prompts of single frames, P for each clip; or the tiled pictures.
        clip: the prompt of the whole clip, where there is one.
        present: which clips have the modality, by default all; the numbers of others are not looked at.

    Shape:
        - frame: (N, P, D), or (N, D) for one prompt per clip; pictures (N, H, W, 3) uint8; clip: (N, E)
        - present: (N,) bool

    >>> Prompts(np.zeros((5, 2, 8)), present=np.arange(5) < 4).shape
    PromptShape(count=2, width=8, clip_width=0)
    """

    frame: Any
    clip: Any = None
    present: Any = None

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            setattr(self, field.name, None if value is None else torch.as_tensor(value))
        if self.frame.ndim == 2:
            self.frame = self.frame[:, None]
        for name in ("clip", "present"):
            value, ndim = getattr(self, name), 2 if name == "clip" else 1
            if value is not None and (value.ndim != ndim or len(value) != len(self)):
                shape = tuple(value.shape)
                raise InputError(f"expects {name} for the {len(self)} clips of frame, got shape {shape}")

    def __len__(self) -> int:
        return len(self.frame)

    def __getitem__(self, rows: Any) -> Prompts:
        """The prompts of some clips."""
        return Prompts(*(None if value is None else value[rows] for value in vars(self).values()))

    def to(self, device: torch.device | str) -> Prompts:
        """The prompts on a device."""
        return Prompts(*(None if v is None else v.to(device, non_blocking=True) for v in vars(self).values()))

    @property
    def mask(self) -> Tensor:
        """Which clips have the modality, (N,) bool."""
        if self.present is None:
            return torch.ones(len(self), dtype=torch.bool, device=self.frame.device)
        return self.present

    @property
    def shape(self) -> PromptShape:
        """What they look like."""
        count, width = self.frame.shape[1:3]
        clip_width = 0 if self.clip is None else self.clip.shape[1]
        return PromptShape(count, width if count else 0, clip_width)

    def statistics(self, rows: np.ndarray | None = None) -> PromptStatistics:
        """Mean and scale over the clips that have the modality, of all or of those in ``rows``."""
        chosen = torch.arange(len(self)) if rows is None else torch.from_numpy(rows)
        chosen = chosen[self.mask[chosen]]
        nothing = torch.zeros(len(chosen), 0)
        frames = self.frame[chosen].float().flatten(0, 1) if self.shape.count else nothing
        clips = nothing if self.clip is None else self.clip[chosen].float()
        return PromptStatistics(self.shape, *_mean_and_scale(frames), *_mean_and_scale(clips))


def _mean_and_scale(values: Tensor) -> tuple[Tensor, Tensor]:
    if not values.shape[1]:
        return values.mean(dim=0), torch.ones(())
    variance = values.var(dim=0, correction=int(len(values) > 1))  # of a single prompt it is 0
    return values.mean(dim=0), variance.mean().sqrt().clamp(min=1e-6)


class StorePrompts:
    """The prompts of a store's clips, row by row beside the skeletons.

    Args:
        prompts: the prompt store.
        store: the skeleton store.
        modalities: ``language`` and ``vision``; ``images`` reads the tiled pictures, batch by batch.

    Raises:
        InputError: the prompts were made for another store, or lack a modality that is asked for.
    """

    def __init__(self, prompts: PromptStore, store: SkeletonStore, modalities: tuple[str, ...]) -> None:
        if prompts.meta.store_fingerprint not in (None, store.fingerprint):
            raise InputError(
                f"{prompts.path} was made for another store ({prompts.meta.dataset}, "
                f"{prompts.meta.store_fingerprint}) than {store.path} ({store.meta.dataset}, "
                f"{store.fingerprint}): make prompts for this one with "
                f"`kinelex prompts {store.path} --out PROMPTS ...`"
            )
        row_of = {clip: row for row, clip in enumerate(prompts.ids)}
        missing = [clip for clip in store.ids if clip not in row_of]
        if missing:
            raise InputError(
                f"{prompts.path} lacks {len(missing)} clips of {store.path}, the first is {missing[0]}: make "
                f"them with the store, `kinelex prompts {store.path} --out PROMPTS ...`; then clips may lack "
                "prompts"
            )
        self._prompts, self._order = prompts, np.array([row_of[clip] for clip in store.ids])
        self._tiled = torch.from_numpy(prompts.tiled()[self._order]) if "images" in modalities else None
        self.embedded: dict[str, Prompts] = {}
        for m in modalities:
            if m != "images":
                bank = prompts.bank(m)
                clip = None if bank.clip is None else bank.clip[self._order]
                self.embedded[m] = Prompts(bank.frame[self._order], clip, bank.present[self._order])

    @property
    def present(self) -> dict[str, Tensor]:
        """By modality (clips of the store,) bool, which clips have it; of the pictures as ``images``."""
        tiled = {} if self._tiled is None else {"images": self._tiled}
        return {m: p.mask for m, p in self.embedded.items()} | tiled

    def batch(self, rows: np.ndarray) -> dict[str, Prompts]:
        """The prompts of clips by modality; pictures, black where missing, as ``images``.

        Shape:
            - rows: (n,), rows of the skeleton store.
        """
        index = torch.from_numpy(rows)
        chosen = {m: prompts[index] for m, prompts in self.embedded.items()}
        if self._tiled is not None:
            pictures = self._prompts.tiles(self._order[rows].tolist())
            chosen["images"] = Prompts(pictures, present=self._tiled[index])
        return chosen

    def check_images(self, rows: np.ndarray) -> None:
        """See whether the pictures of clips can be read, where they are asked for."""
        if self._tiled is not None:
            self._prompts.check_tiles(self._order[rows].tolist())

    def statistics(self, rows: np.ndarray) -> dict[str, PromptStatistics]:
        """Shape, mean and scale of each modality's prompts over the clips of ``rows`` that have it."""
        return {m: prompts.statistics(rows) for m, prompts in self.embedded.items()}
