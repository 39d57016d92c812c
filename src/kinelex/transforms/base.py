"""What a transform is, the table of transforms by name, and how several follow one another."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, overload

import torch
from torch import Tensor

from kinelex.data.batch import Batch
from kinelex.errors import InputError, unknown_name
from kinelex.options import read_options
from kinelex.registry import Registry
from kinelex.skeleton import SkeletonLayout, get_layout, joint_presence
from kinelex.transforms.temporal import whole_clips


class Transform(ABC):
    """One change of clips: draws what is random about it, then applies it.

    Its options are the arguments of its constructor; ``MyJitter`` is called ``my_jitter`` in recipes. The
    batch that it changes holds the clips as ``x`` (N, C, T, V, M), where ``presence`` says which joints are
    there and ``layout`` which joints they are; absent joints are 0 and stay 0.

    >>> from dataclasses import dataclass
    >>> @dataclass(frozen=True)
    ... class Shrink(Transform):
    ...     share: float = 0.1
    ...
    ...     def apply(self, batch, params=None):
    ...         return replace(batch, x=batch.x * (1 - self.share))
    >>> Compose([Shrink(share=0.5)])(torch.ones(1, 3, 2, 25, 1)).max().item()
    0.5
    """

    name: ClassVar[str]
    chooses_frames: ClassVar[bool] = False  # gets clips of any length and makes them of one

    def __init_subclass__(cls) -> None:
        if "name" not in vars(cls):
            cls.name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", cls.__name__).lower()

    def layout_after(self, layout: SkeletonLayout | None) -> SkeletonLayout | None:
        """The layout of the changed clips."""
        return layout

    def sample(self, batch: Batch, generator: torch.Generator) -> Any:
        """Draw what is random, for each clip of a batch apart; None where nothing is.

        Args:
            batch: the clips; their coordinates need not be looked at.
            generator: source of randomness, on the CPU.
        """
        return None

    @abstractmethod
    def apply(self, batch: Batch, params: Any = None) -> Batch:
        """The changed clips.

        Args:
            params: what :meth:`sample` drew; without it the change is that of test time.
        """

    def __call__(self, batch: Batch, generator: torch.Generator | None = None) -> Batch:
        """Draw and apply; without a generator as at test time."""
        return Compose([self])(batch, generator)


TRANSFORMS = Registry("transform")
register = TRANSFORMS.register


def names() -> tuple[str, ...]:
    """Names of the registered transforms.

    >>> "crop_resize" in names()
    True
    """
    return TRANSFORMS.names()


def create(name: str, **options: Any) -> Transform:
    """A transform by name.

    Args:
        name: one of :func:`names`.

    Raises:
        InputError: an unknown name or option, or a value that does not suit.

    >>> create("centre", joint="pelvis")
    Centre(joint='pelvis', mode='first')
    """
    kind = TRANSFORMS.find(name)
    read = read_options(kind, options, f"the transform {name}", name)
    return kind(**{key: tuple(value) if isinstance(value, list) else value for key, value in read.items()})


class Compose:
    """Transforms one after the other.

    What is random is drawn for the frames first, then in the order of the list. Frames are chosen once at
    most; what stands before that changes whole clips, what comes after it the chosen frames.

    Args:
        transforms: in their order.
        layout: layout of the clips, by name or as an object; by default the one that a batch says.

    Raises:
        InputError: frames are chosen twice.

    >>> from kinelex.transforms import AlignBody, Centre, CropResize, RandomRotation
    >>> prepare = Compose(
    ...     [CropResize(16, crop=(0.5, 1.0)), Centre("pelvis"), AlignBody(), RandomRotation((0.0, 0.0, 0.3))],
    ...     layout="ntu25",
    ... )
    >>> clips = torch.randn(4, 3, 50, 25, 2)  # (N, C, T, V, M); absent joints are 0
    >>> generator = torch.Generator().manual_seed(0)
    >>> prepare(clips, generator).shape
    torch.Size([4, 3, 16, 25, 2])
    >>> torch.equal(prepare(clips), prepare(clips))  # without a generator: as at test time
    True
    """

    def __init__(self, transforms: Iterable[Transform], layout: str | SkeletonLayout | None = None) -> None:
        listed = tuple(transforms)
        choosing = [t.name for t in listed if t.chooses_frames]
        if len(choosing) > 1:
            raise InputError(f"frames are chosen once: expects one of {' and '.join(choosing)}")
        found = [t.name for t in listed]
        keys = [f"{n}_{found[:i].count(n) + 1}" if n in found[:i] else n for i, n in enumerate(found)]
        self.transforms = dict(zip(keys, listed, strict=True))
        self.layout = get_layout(layout) if isinstance(layout, str) else layout

    def __repr__(self) -> str:
        return f"Compose({list(self.transforms.values())})"

    def sample(self, batch: Batch, generator: torch.Generator) -> dict[str, Any]:
        """Draw what is random about each transform, by name; a second one of a name is ``name_2``."""
        layout, seen = self.layout or batch.layout, {}
        for name, transform in self.transforms.items():
            seen[name] = replace(batch, layout=layout)
            layout = transform.layout_after(layout)
        frames_first = sorted(self.transforms.items(), key=lambda item: not item[1].chooses_frames)
        return {name: transform.sample(seen[name], generator) for name, transform in frames_first}

    def apply(self, batch: Batch, params: Mapping[str, Any] | None = None) -> Batch:
        """The changed clips; what ``params`` leaves out is as at test time."""
        batch = replace(batch, layout=self.layout or batch.layout)
        if batch.x is not None and batch.presence is None:
            batch = replace(batch, presence=joint_presence(batch.x))
        for name, transform in self.transforms.items():
            if batch.x is None and not transform.chooses_frames:
                batch = whole_clips(batch)
            batch = transform.apply(batch, (params or {}).get(name))
        return batch

    @overload
    def __call__(self, clips: Batch, generator: torch.Generator | None = None) -> Batch: ...
    @overload
    def __call__(
        self, clips: Any, generator: torch.Generator | None = None, presence: Any = None, lengths: Any = None
    ) -> Tensor: ...
    def __call__(
        self, clips: Any, generator: torch.Generator | None = None, presence: Any = None, lengths: Any = None
    ) -> Batch | Tensor:
        """Draw and apply; without a generator as at test time.

        Args:
            clips: a batch, or coordinates as an array or tensor.
            generator: source of randomness, on the CPU.
            presence: of coordinates, which joints are there; by default those that are not 0.
            lengths: of coordinates, frames of each clip; by default all.

        Shape:
            - clips: (N, C, T, V, M); presence: (N, 1, T, V, M) bool; lengths: (N,)
            - returns: (N, C, T', V, M), for a batch a batch
        """
        batch = clips if isinstance(clips, Batch) else batch_of(clips, presence, lengths)
        batch = self.apply(batch, None if generator is None else self.sample(batch, generator))
        if isinstance(clips, Batch):
            return batch
        return clips_of(batch)[0]


def layout_of(batch: Batch) -> SkeletonLayout:
    """The layout of a batch's clips."""
    if batch.layout is None:
        raise InputError("expects the layout of the clips: pass Compose([...], layout=LAYOUT)")
    return batch.layout


def clips_of(batch: Batch) -> tuple[Tensor, Tensor]:
    """Clips and which joints are there: (N, C, T, V, M); (N, 1, T, V, M) bool."""
    assert batch.x is not None
    assert batch.presence is not None
    return batch.x, batch.presence


def channels_of(batch: Batch) -> int:
    """Coordinates C per joint."""
    clips = batch.frames if batch.x is None else batch.x
    assert clips is not None
    return clips.shape[1]


def batch_of(clips: Any, presence: Any = None, lengths: Any = None) -> Batch:
    """Arrays of clips as a batch; shapes as of :meth:`Compose.__call__`."""
    x = torch.as_tensor(clips)
    if x.ndim != 5:
        raise InputError(f"expects clips (N, C, T, V, M), got shape {tuple(x.shape)}")
    n, _, t = x.shape[:3]
    wanted = (n, 1, *x.shape[2:])
    there = joint_presence(x) if presence is None else torch.as_tensor(presence, device=x.device).bool()
    frames = torch.full((n,), t) if lengths is None else torch.as_tensor(lengths)
    if there.shape != wanted or frames.shape != (n,):
        raise InputError(
            f"expects presence {wanted} and lengths ({n},) for clips {tuple(x.shape)}, got "
            f"{tuple(there.shape)} and {tuple(frames.shape)}"
        )
    if lengths is not None and not (int(frames.min()) >= 1 and int(frames.max()) <= t):
        raise InputError(f"expects lengths from 1 to {t}, got {int(frames.min())} to {int(frames.max())}")
    frames = frames.to(x.device)
    inside = torch.arange(t, device=x.device) < frames[:, None]  # (N, T)
    there = there & inside[:, None, :, None, None]
    labels, rows = torch.full((n,), -1), torch.arange(n)
    return Batch(frames, labels, rows, frames=x.transpose(1, 2)[inside], x=x * there, presence=there)


def listed(entries: Sequence[Any], presets: Mapping[str, Sequence[Any]]) -> tuple[Transform, ...]:
    """The transforms that a list of names, presets and mappings with ``name`` and options stands for."""
    made: list[Transform] = []
    for entry in entries:
        if isinstance(entry, str) and entry in presets:
            made += listed(presets[entry], presets)
        elif isinstance(entry, str):
            if entry not in names():
                raise unknown_name("transform or preset", entry, [*presets, *names()])
            made.append(create(entry))
        elif isinstance(entry, Mapping) and isinstance(entry.get("name"), str):
            made.append(create(**entry))
        else:
            raise InputError(
                "expects a list of names of transforms, presets, and mappings with a name and options such "
                f"as {{name: crop_resize, frames: 64}}, got {entry!r}"
            )
    return tuple(made)
