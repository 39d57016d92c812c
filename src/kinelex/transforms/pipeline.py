"""From ragged frames to the encoder's input: the one path that training, evaluation and prediction share."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from kinelex.data.batch import Batch
from kinelex.errors import InputError, check_name, one_line
from kinelex.skeleton import STREAMS, SkeletonLayout
from kinelex.skeleton.retarget import RETARGETS, retarget_choices
from kinelex.transforms.base import Compose, Transform, channels_of, clips_of, listed
from kinelex.transforms.corruption import ShearOrCorrupt
from kinelex.transforms.fill import FillEmpty
from kinelex.transforms.frames import CropResize, FrameChoice, PickFrames
from kinelex.transforms.normalise import ALIGNMENTS, CENTRES, SCALES, AlignBody, Centre, ScaleClip
from kinelex.transforms.presets import PRESETS
from kinelex.transforms.shape import PersonPlaces, Retarget, Stream, seen_by_each
from kinelex.transforms.spatial import JointNoise, RandomRotation, RandomScaling

SAMPLINGS = ("crop", "frames", "random")


@dataclass(frozen=True)
class InputConfig:
    """How clips become the encoder's input: a list of transforms, or the short form of the usual list.

    The short form chooses frames, centres, turns and scales the clips and augments them, in this order; see
    :func:`transforms_of` for the list that it stands for.

    Args:
        frames: frames T after resampling.
        layout: the layout that clips are brought to: a built-in name, a YAML file, or ``joined``, which has
            the joints of all stores of a training. By default a store's own, and ``core16`` where a training
            has several stores.
        retarget: joints of that layout which clips lack are all made from joints that can stand for them
            (``complete``, or clips are refused), or missing where none can (``partial``), or all missing
            (``named``).
        lift: clips in 2-D stand in a plane in space, with a third coordinate of 0, so that they are read
            beside clips in 3-D. A training on stores of both kinds does so.
        fps: frames per second that clips are resampled to before anything else, so that what lasts as long
            has as many frames; by default they stay as filmed. Clips have to say their rate.
        sampling: ``crop`` crops and resizes; ``frames`` picks frames, in training one at random from each of
            equal parts of the clip; ``random`` picks anyhow in training, in order; both evenly in test.
        crop: bounds of the random temporal crop in training, fractions of the clip.
        crop_minimum: shortest training crop in frames.
        test_crop: share of the clip in the test-time centre crop.
        stream: ``joint``, ``bone``, ``motion`` or ``bone_motion``.
        fill: repeat what was seen of a person who leaves the clip early (CMD).
        centre: ``none``, ``first``, ``frame`` or ``mean``.
        align: ``none``, ``body`` or ``torso``.
        scale: ``none``, ``clip``, ``torso`` or ``body``.
        view_first: rotate and scale at random before ``scale``, not after it (CTR-GCN on N-UCLA).
        rotation: largest random rotation about x, y, z in training, radians; of 2-D clips about z alone.
        scaling: bounds of the random scaling per axis in training.
        view_probability: share of the training clips that is turned, and that is scaled, a fraction of 1.
        noise: standard deviation of Gaussian noise added in training to each coordinate of each frame, in
            units of the scaled clip.
        shear: amplitude of the random shear in training (CMD: 1); 0 does not shear.
        corrupt: share of the joints that a random corruption sets to 0 or distorts (CMD: 0.6); 0 does not.
        shear_probability: share of the training clips that is sheared; the others are corrupted.
        augment: further transforms of training clips, after all others, as in ``transforms``.
        whole_clip: fill, centre, turn and scale the whole clip before frames are chosen, as the published
            data files of CMD and CTR-GCN are made, instead of the chosen frames.
        scores: read x and y as shares of half the picture from its middle, and the confidence of each joint
            as a third number, as PYSKL does with poses in pictures; ``persons``, ``stream`` and
            ``transforms`` hold then. Clips have to say how large their picture is.
        persons: person places M of the input, the same for all clips: persons beyond are left out, absent
            ones are zeros. By default a training takes the most persons of any clip of its store (no more
            than the encoder has places for), and the run keeps this number.
        mutual: give the clip once in the frame of each of its persons, M·M places instead of M (ours), to an
            encoder that reads persons one by one and leaves out who is absent.
        transforms: the list itself, instead of the short form: names of transforms and presets, and mappings
            with a ``name`` and options. Beside it ``layout``, ``retarget``, ``lift``, ``fps``, ``stream``,
            ``scores``, ``persons`` and ``mutual`` may be set.
    """

    frames: int = 64
    sampling: str = "crop"
    crop: tuple[float, float] = (0.5, 1.0)
    crop_minimum: int = 64
    test_crop: float = 0.95
    stream: str = "joint"
    fill: bool = False
    centre: str = "first"
    align: str = "none"
    scale: str = "none"
    view_first: bool = False
    rotation: tuple[float, float, float] = (0.0, 0.0, 0.0)
    scaling: tuple[float, float] = (1.0, 1.0)
    view_probability: float = 1.0
    noise: float = 0.0
    shear: float = 0.0
    corrupt: float = 0.0
    shear_probability: float = 0.5
    augment: tuple[Any, ...] = ()
    whole_clip: bool = False
    scores: bool = False
    persons: int | None = None
    fps: float | None = None
    layout: str | None = None
    retarget: str = "complete"
    lift: bool = False
    mutual: bool = False
    transforms: tuple[Any, ...] = ()

    def __post_init__(self) -> None:
        known = {"sampling": SAMPLINGS, "stream": STREAMS, "centre": CENTRES}
        known |= {"align": ALIGNMENTS, "scale": SCALES, "retarget": RETARGETS}
        for name, values in known.items():
            check_name(name, getattr(self, name), values)
        for name in ("frames", "persons"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InputError(f"expects input.{name} of at least 1, got {value}")
        if self.fps is not None and not 0 < self.fps < math.inf:
            raise InputError(f"expects input.fps above 0, got {self.fps}")
        if not (self.noise >= 0 and self.noise < math.inf):
            raise InputError(f"expects input.noise of at least 0, got {self.noise}")
        ShearOrCorrupt(self.shear, self.corrupt, self.shear_probability)
        RandomScaling(probability=self.view_probability)
        object.__setattr__(self, "augment", tuple(_plain(entry) for entry in self.augment))
        if any(t.chooses_frames for t in listed(self.augment, PRESETS)):
            raise InputError("input.augment changes frames that are chosen: choose them by input.sampling")
        if self.transforms:
            self._check_list()
        elif self.scores:
            raise InputError(
                "input.scores needs a list of transforms, for example input.transforms=[pyskl_2d]"
            )

    @classmethod
    def read(cls, settings: Mapping[str, Any]) -> InputConfig:
        """The config of a run's ``config.yaml`` or ``encoder.json``, in which tuples are lists.

        Raises:
            InputError: keys or values that no recipe has: the file is damaged, or of another version.
        """
        try:
            given: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in settings.items()}
            return cls(**given)
        except (AttributeError, TypeError) as error:
            raise InputError(f"the run's section input is damaged ({one_line(error)})") from error

    def _check_list(self) -> None:
        object.__setattr__(self, "transforms", tuple(_plain(entry) for entry in self.transforms))
        both = [f.name for f in fields(self) if f.name not in LISTLESS and getattr(self, f.name) != f.default]
        if both:
            raise InputError(
                f"input.transforms lists all that is done, and input.{both[0]} belongs to the short form: "
                "give it as an option of a transform of the list, or leave out the list"
            )
        choices = [t for t in listed(self.transforms, PRESETS) if t.chooses_frames]
        if len(choices) != 1:
            found = " and ".join(t.name for t in choices) or "none"
            raise InputError(
                "expects one transform in input.transforms that chooses frames (crop_resize, pick_frames, "
                f"reflect_crop), got {found}"
            )
        rate = getattr(choices[0], "fps", None)
        if rate is not None:
            object.__setattr__(self, "fps", rate)


# what may stand beside a list
LISTLESS = ("transforms", "layout", "retarget", "lift", "fps", "stream", "scores", "persons", "mutual")


def _plain(entry: Any) -> Any:
    """An entry of a list as YAML writes it."""
    if isinstance(entry, Mapping):
        return {key: list(value) if isinstance(value, tuple) else value for key, value in entry.items()}
    return entry


def transforms_of(config: InputConfig) -> list[Transform]:
    """The list of transforms that a config stands for, in order.

    >>> transforms_of(InputConfig(align="torso", whole_clip=True))[:2]
    [Centre(joint='spine', mode='first'), AlignBody(mode='torso')]
    """
    if config.transforms:
        made = listed(config.transforms, PRESETS)
        rated = config.fps is not None
        return [replace(t, fps=config.fps) if rated and isinstance(t, FrameChoice) else t for t in made]
    chosen: Transform
    if config.sampling == "crop":
        chosen = CropResize(config.frames, config.fps, config.crop, config.crop_minimum, config.test_crop)
    else:
        chosen = PickFrames(config.frames, config.fps, config.sampling == "random")
    share = config.view_probability
    view: list[Transform] = [RandomRotation(config.rotation, share)] if any(config.rotation) else []
    if tuple(config.scaling) != (1.0, 1.0):
        view.append(RandomScaling(config.scaling, share))
    normal: list[Transform] = [FillEmpty()] if config.fill else []
    if config.centre != "none":
        normal.append(Centre(mode=config.centre))
    if config.align != "none":
        normal.append(AlignBody(config.align))
    if config.view_first:
        normal += view
    if config.scale != "none":
        normal.append(ScaleClip(config.scale))
    augment = [] if config.view_first else view
    if config.noise:
        augment.append(JointNoise(std=config.noise))
    if config.shear or config.corrupt:
        augment.append(ShearOrCorrupt(config.shear, config.corrupt, config.shear_probability))
    augment += listed(config.augment, PRESETS)
    return [*normal, chosen, *augment] if config.whole_clip else [chosen, *normal, *augment]


class InputPipeline:
    """A config's transforms between what a run adds: its layout, its person places and its stream.

    Args:
        layout: layout of the result.
        config: what to do.
        source: layout of the clips; by default that of the result, and nothing is retargeted.

    Raises:
        InputError: a joint of the result has no counterpart in ``source``.

    >>> from kinelex.skeleton import get_layout
    >>> pipeline = InputPipeline(get_layout("kinect20"), InputConfig(frames=16, align="body"))
    >>> batch = Batch(torch.tensor([5, 9]), torch.zeros(2), torch.arange(2), torch.randn(14, 3, 20, 1))
    >>> pipeline(batch).shape
    torch.Size([2, 3, 16, 20, 1])
    >>> params = pipeline.sample(batch, torch.Generator().manual_seed(0))
    >>> torch.equal(pipeline(batch, params), pipeline(batch, params))
    True
    """

    def __init__(
        self, layout: SkeletonLayout, config: InputConfig, source: SkeletonLayout | None = None
    ) -> None:
        self.layout, self.config = layout, config
        self.source = source or layout
        added: list[Transform] = [] if config.persons is None else [PersonPlaces(config.persons)]
        if self.source.joints != layout.joints:
            retarget_choices(self.source, layout, config.retarget)
            added.append(Retarget(layout, config.retarget))
        steps = transforms_of(config)
        first = int(steps[0].chooses_frames and not config.whole_clip)  # else whole clips are fitted
        stream: list[Transform] = [] if config.stream == "joint" else [Stream(config.stream, config.scores)]
        at = next((i for i, t in enumerate(steps) if getattr(t, "streams_first", False)), len(steps))
        steps[at:at] = stream
        self.transforms = Compose([*steps[:first], *added, *steps[first:]], self.source)

    def __repr__(self) -> str:
        steps = ", ".join(map(repr, self.transforms.transforms.values()))
        return f"InputPipeline({self.source.name} → {self.layout.name}: {steps})"

    def sample(self, batch: Batch, generator: torch.Generator) -> dict[str, Any]:
        """Draw the training augmentation of a batch: by transform what :meth:`Transform.sample` gives."""
        return self.transforms.sample(self._lifted(batch), generator)

    def sample_crops(self, batch: Batch, generators: Sequence[torch.Generator]) -> dict[str, Any]:
        """Draw the frames of each clip as in training, by its own generator; all else is as at test time."""
        steps, lifted = self.transforms.transforms.items(), self._lifted(batch)
        return {n: t.sample_each(lifted, generators) for n, t in steps if isinstance(t, FrameChoice)}

    def _lifted(self, batch: Batch) -> Batch:
        """Clips in 2-D with a third coordinate of 0, where ``input.lift`` asks for it."""
        if not self.config.lift or channels_of(batch) != 2:
            return batch
        assert batch.frames is not None  # batches come as they are loaded
        return replace(batch, frames=F.pad(batch.frames, (0, 0, 0, 0, 0, 1)))

    def views(self, batch: Batch) -> list[dict[str, Any] | None]:
        """What to prepare a batch by at test time, one after another, and to average features over."""
        for name, transform in self.transforms.transforms.items():
            if isinstance(transform, FrameChoice) and (plans := transform.views(batch)):
                return [{name: plan} for plan in plans]
        return [None]

    def __call__(self, batch: Batch, params: Mapping[str, Any] | None = None) -> Tensor:
        """The encoder's input: augmented by ``params``, or as at test time without them.

        Shape:
            - returns: (N, C, T, V, M)
        """
        return self.prepare(batch, params)[0]

    def prepare(self, batch: Batch, params: Mapping[str, Any] | None = None) -> tuple[Tensor, Tensor]:
        """The encoder's input, and which joints of it are there, for who derives streams from it.

        Shape:
            - returns: (N, C, T, V, M); (N, 1, T, V, M) bool; M·M instead of M with ``input.mutual``
        """
        batch = self._lifted(batch)
        if self.config.mutual:
            return seen_by_each(batch, lambda clips: clips_of(self.transforms.apply(clips, params)))
        return clips_of(self.transforms.apply(batch, params))
