"""From ragged frames to the encoder's input: the one path that training, evaluation and prediction share."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from kinelex.data.batch import Batch
from kinelex.errors import InputError, unknown_name
from kinelex.skeleton import STREAMS, SkeletonLayout, make_stream
from kinelex.skeleton.presence import all_present
from kinelex.skeleton.retarget import retarget_choices, retarget_present
from kinelex.transforms import normalise
from kinelex.transforms.corruption import JointMap, map_joints, sample_joint_map
from kinelex.transforms.rate import apply_plan_at, lengths_at
from kinelex.transforms.spatial import sample_rotation, sample_scale, scale
from kinelex.transforms.temporal import (
    FramePlan,
    apply_plan,
    centre_crop,
    ragged_frames,
    random_plan,
    resize_plan,
    sample_crop,
    sorted_plan,
    uniform_plan,
    whole_clips,
)

SAMPLINGS = ("crop", "frames", "random")


@dataclass(frozen=True)
class InputConfig:
    """How clips become the encoder's input.

    Args:
        frames: frames T after resampling.
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
        noise: standard deviation of Gaussian noise added in training to each coordinate of each frame, in
            units of the scaled clip.
        shear: amplitude of the random shear in training (CMD: 1); 0 does not shear.
        corrupt: share of the joints that a random corruption sets to 0 or distorts (CMD: 0.6); 0 does not.
        shear_probability: share of the training clips that is sheared; the others are corrupted.
        whole_clip: fill, centre, turn and scale the whole clip before frames are chosen, as the published
            data files of CMD and CTR-GCN are made, instead of the chosen frames.
        persons: person places M of the input, the same for all clips: persons beyond are left out, absent
            ones are zeros. By default a training takes the most persons of any clip of its store (no more
            than the encoder has places for), and the run keeps this number.
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
    noise: float = 0.0
    shear: float = 0.0
    corrupt: float = 0.0
    shear_probability: float = 0.5
    whole_clip: bool = False
    persons: int | None = None
    fps: float | None = None

    def __post_init__(self) -> None:
        known = {
            "sampling": SAMPLINGS,
            "stream": STREAMS,
            "centre": normalise.CENTRES,
            "align": normalise.ALIGNMENTS,
            "scale": normalise.SCALES,
        }
        for name, values in known.items():
            if getattr(self, name) not in values:
                raise unknown_name(name, getattr(self, name), values)
        for name in ("frames", "persons"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InputError(f"expects input.{name} of at least 1, got {value}")
        if self.fps is not None and not 0 < self.fps < math.inf:
            raise InputError(f"expects input.fps above 0, got {self.fps}")
        if not (self.noise >= 0 and self.noise < math.inf):
            raise InputError(f"expects input.noise of at least 0, got {self.noise}")
        if not (self.shear >= 0 and 0 <= self.corrupt <= 1 and 0 <= self.shear_probability <= 1):
            raise InputError(
                "expects input.shear of at least 0, input.corrupt and input.shear_probability from 0 to 1, "
                f"got {self.shear}, {self.corrupt} and {self.shear_probability}"
            )


@dataclass
class InputParams:
    """One draw of everything that is random in training: apply it again and the same input comes out.

    Shape:
        - plan: frames (N, T).
        - rotation: (N, C, C) or None.
        - scaling: (N, 3) or None.
        - noise_seed: seed of the joint noise.
        - joint_map: shear or joint corruption, matrix (N, 3, 3) and joints (N, V), or None.
    """

    plan: FramePlan
    rotation: Tensor | None = None
    scaling: Tensor | None = None
    noise_seed: int | None = None
    joint_map: JointMap | None = None


class InputPipeline:
    """Resample, retarget, normalise, augment and derive the stream, in this order.

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
        same = self.source.joints == layout.joints
        self._retarget = None if same else torch.from_numpy(retarget_choices(self.source, layout))

    def sample(self, batch: Batch, generator: torch.Generator) -> InputParams:
        """Draw the training augmentation of a batch."""
        config, n, lengths = self.config, len(batch), self._lengths(batch)
        if config.sampling == "frames":
            plan = random_plan(lengths, config.frames, generator)
        elif config.sampling == "random":
            plan = sorted_plan(lengths, config.frames, generator)
        else:
            crop = sample_crop(lengths, config.crop, config.crop_minimum, generator)
            plan = resize_plan(crop, config.frames)
        params = InputParams(plan)
        if any(config.rotation):
            assert batch.frames is not None
            params.rotation = sample_rotation(n, config.rotation, generator, batch.frames.shape[1])
        if tuple(config.scaling) != (1.0, 1.0):
            params.scaling = sample_scale(n, config.scaling, generator)
        if config.noise:
            params.noise_seed = int(torch.randint(2**31, (), generator=generator))
        if config.shear or config.corrupt:
            amounts = (config.shear, config.corrupt, config.shear_probability)
            params.joint_map = sample_joint_map(n, self.layout.num_joints, *amounts, generator)
        return params

    def __call__(self, batch: Batch, params: InputParams | None = None) -> Tensor:
        """The encoder's input: augmented by ``params``, or as at test time without them.

        Shape:
            - returns: (N, C, T, V, M)
        """
        return self.prepare(batch, params)[0]

    def prepare(self, batch: Batch, params: InputParams | None = None) -> tuple[Tensor, Tensor]:
        """The encoder's input, and which joints of it are there, for who derives streams from it.

        Shape:
            - returns: (N, C, T, V, M); (N, 1, T, V, M) bool
        """
        config = self.config
        if params is not None:
            plan = params.plan
        elif config.sampling != "crop":
            plan = uniform_plan(self._lengths(batch), config.frames)
        else:
            plan = resize_plan(centre_crop(self._lengths(batch), config.test_crop), config.frames)
        if config.whole_clip:
            x, there = self._normalised(*whole_clips(batch), params)
            x, there = self._resampled(*ragged_frames(batch, x, there), plan)
        else:
            x, there = self._normalised(*self._resampled(batch, None, plan), params)
        if params is not None:
            x = self._augment(x if config.view_first else self._view(x, params), there, params)
        return make_stream(x, self.layout, config.stream, there), there

    def _resampled(self, batch: Batch, there: Tensor | None, plan: FramePlan) -> tuple[Tensor, Tensor]:
        fps = self.config.fps
        clips = apply_plan(batch, plan, there) if fps is None else apply_plan_at(batch, plan, fps, there)
        assert clips.x is not None
        assert clips.presence is not None
        return clips.x, clips.presence

    def _normalised(self, x: Tensor, there: Tensor, params: InputParams | None) -> tuple[Tensor, Tensor]:
        config = self.config
        x, there = self._with_places(x), self._with_places(there)
        if self._retarget is not None:
            choices = self._retarget.to(x.device, x.dtype, non_blocking=True)
            x, there = retarget_present(x, there, self.source, choices)
        if config.fill and not all_present(there):
            order = normalise.fill_order(there)[:, None, :, None]
            x, there = x.gather(2, order.expand_as(x)), there.gather(2, order.expand_as(there))
        x = normalise.centre(x, self.layout, config.centre, presence=there)
        x = normalise.align_body(x, self.layout, config.align, there)
        if params is not None and config.view_first:
            x = self._view(x, params)
        return normalise.scale_clip(x, self.layout, config.scale, there), there

    def _lengths(self, batch: Batch) -> Tensor:
        """Frames of each clip, at the rate of the input, (N,)."""
        return batch.lengths if self.config.fps is None else lengths_at(batch, self.config.fps)

    def _with_places(self, x: Tensor) -> Tensor:
        """``x`` with the person places of the run; as loaded where it does not say how many."""
        places = self.config.persons
        if places is None or places == x.shape[4]:
            return x
        return F.pad(x, (0, places - x.shape[4]))  # a negative width leaves out the last places

    def _view(self, x: Tensor, params: InputParams) -> Tensor:
        if params.rotation is not None:
            x = normalise.rotate(x, params.rotation.to(x.device, non_blocking=True))
        if params.scaling is not None:
            x = scale(x, params.scaling[:, : x.shape[1]])
        return x

    def _augment(self, x: Tensor, presence: Tensor, params: InputParams) -> Tensor:
        if params.noise_seed is not None:
            generator = torch.Generator(x.device).manual_seed(params.noise_seed)
            noise = torch.randn(x.shape, generator=generator, device=x.device, dtype=x.dtype)
            x = x + self.config.noise * noise * presence
        if params.joint_map is not None:
            x = map_joints(x, params.joint_map)
        return x
