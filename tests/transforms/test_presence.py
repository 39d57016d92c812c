"""Missing joints and absent persons through every transform, against plain loops."""

import numpy as np
import pytest
import torch

from kinelex.data.batch import Batch
from kinelex.skeleton import get_layout, joint_presence, make_stream
from kinelex.transforms import (
    InputConfig,
    InputPipeline,
    align_body,
    apply_plan,
    centre,
    centre_crop,
    resize_plan,
    scale_clip,
    uniform_plan,
)

NTU, COCO = get_layout("ntu25"), get_layout("coco17")
SPINE, WRIST = NTU.index("spine"), NTU.index("left_wrist")


def clip(persons: int = 2, frames: int = 6) -> torch.Tensor:
    x = torch.randn(1, 3, frames, 25, persons, generator=torch.Generator().manual_seed(0))
    return x * 0.3 + torch.tensor([1.0, 2.0, 4.0]).view(1, 3, 1, 1, 1)


def gaps(persons: int = 2) -> torch.Tensor:
    """A clip with a missing wrist, a missing spine, and a person who is away for a frame."""
    x = clip(persons)
    x[:, :, 2, WRIST, 0] = 0
    x[:, :, 0:2, SPINE, 0] = 0
    x[:, :, 4, :, 0] = 0
    return x


def test_presence_is_any_coordinate_and_the_centred_spine():
    x = gaps()
    expected = np.array(
        [[[x[0, :, t, v, m].any().item() for m in range(2)] for v in range(25)] for t in range(6)]
    )
    assert (joint_presence(x)[0, 0].numpy() == expected).all()
    whole = clip()
    for mode in ("first", "frame"):
        centred = centre(whole, NTU, mode)
        assert not joint_presence(centred)[0, 0, 0, SPINE, 0]
        assert joint_presence(centred, NTU).all()
    hole = gaps()
    hole[:, :, 1, SPINE, 0] = 1.0  # missing in the first frame alone reads as centred; later it does not
    hole[:, :, 3, SPINE, 0] = 0
    assert not joint_presence(hole, NTU)[0, 0, 3, SPINE, 0]


@pytest.mark.parametrize("mode", ["first", "frame", "mean"])
def test_centre_takes_the_nearest_frame_that_has_the_landmark(mode):
    x = gaps()
    out = centre(x, NTU, mode)
    path = x[0, :, :, SPINE, 0]
    there = [2, 3, 5]  # frames with person 0's spine
    for t in range(6):
        if mode == "first":
            origin = path[:, 2]
        elif mode == "mean":
            origin = path[:, there].mean(dim=1)
        elif t == 4:  # person 0 is away: person 1 takes the place
            origin = x[0, :, 4, SPINE, 1]
        else:
            origin = path[:, min(there, key=lambda s: abs(s - t))]
        for v in range(25):
            for m in range(2):
                point = x[0, :, t, v, m]
                expected = point - origin if point.any() else point
                torch.testing.assert_close(out[0, :, t, v, m], expected)


def test_a_landmark_that_a_clip_never_shows_is_made_from_others():
    x = clip(1)
    x[:, :, :, SPINE] = 0
    middle = (x[..., NTU.index("pelvis"), :] + x[..., NTU.index("shoulder_center"), :]) / 2
    torch.testing.assert_close(
        centre(x, NTU, "first"), (x - middle[:, :, :1, None]) * joint_presence(x), atol=1e-6, rtol=1e-5
    )
    only = torch.zeros_like(x)
    only[..., WRIST, :] = x[..., WRIST, :]  # nothing can stand for the spine
    assert centre(only, NTU, "frame").abs().max() == 0
    torch.testing.assert_close(centre(only, NTU, "first")[:, :, 0], torch.zeros(1, 3, 25, 1))


def test_person_one_takes_the_place_of_one_who_is_never_there():
    both, alone = clip(), clip()
    both[..., 0] = 0
    alone = alone[..., 1:]
    for mode in ("first", "frame", "mean"):
        expected = centre(alone, NTU, mode)
        torch.testing.assert_close(centre(both, NTU, mode)[..., 1:], expected)
        for align in ("body", "torso"):
            turned = align_body(centre(both, NTU, mode), NTU, align)[..., 1:]
            torch.testing.assert_close(turned, align_body(expected, NTU, align), atol=1e-5, rtol=1e-4)
    for scale in ("clip", "torso", "body"):
        torch.testing.assert_close(scale_clip(both, NTU, scale)[..., 1:], scale_clip(alone, NTU, scale))


@pytest.mark.parametrize("mode", ["body", "torso"])
def test_alignment_looks_at_the_frames_that_have_the_landmarks(mode):
    x = clip(1)
    hidden = x.clone()
    hidden[:, :, 0, NTU.index("left_shoulder")] = 0
    hidden[:, :, 0, NTU.index("pelvis")] = 0
    shown = x[:, :, 1:]
    out = align_body(hidden, NTU, mode)
    torch.testing.assert_close(out[:, :, 1:], align_body(shown, NTU, mode), atol=1e-5, rtol=1e-4)
    assert not out[:, :, 0, NTU.index("pelvis")].any()
    arms = torch.zeros_like(x)
    for side in ("left", "right"):
        arms[:, :, :, NTU.index(f"{side}_wrist")] = x[:, :, :, NTU.index(f"{side}_wrist")]
    torch.testing.assert_close(align_body(arms, NTU, mode), arms)  # no trunk: not turned


@pytest.mark.parametrize("mode", ["clip", "torso", "body"])
def test_scale_is_measured_on_joints_that_are_there(mode):
    x = gaps(1)
    out, there = scale_clip(x, NTU, mode), joint_presence(x)[0, 0, :, :, 0]
    points = x[0, ..., 0]
    if mode == "clip":
        for c in range(3):
            low, high = points[c][there].min(), points[c][there].max()
            torch.testing.assert_close(
                out[0, c, ..., 0][there], (points[c][there] - low) / (high - low) * 2 - 1
            )
    elif mode == "torso":
        ends = [points[:, :, NTU.index(j)] for j in ("pelvis", "shoulder_center")]
        length = np.mean([(ends[0] - ends[1])[:, t].norm().item() for t in (0, 1, 2, 3, 5)])
        torch.testing.assert_close(out, x / length)
    else:
        squares = []
        for t in range(6):
            seen = points[:, t][:, there[t]]
            squares += [(seen[:, j] - seen.mean(dim=1)).square().sum() for j in range(seen.shape[1])]
        torch.testing.assert_close(out, x / torch.stack(squares).mean().sqrt())
    assert not out[0, :, ~there].any()


@pytest.mark.parametrize("stream", ["bone", "motion", "bone_motion"])
def test_streams_against_a_loop_over_frames_and_joints(stream):
    x = gaps()
    there = joint_presence(x)[0, 0]
    bones, seen = torch.zeros_like(x), torch.zeros(6, 25, 2, dtype=torch.bool)
    for t in range(6):
        for v, p in enumerate(NTU.parents):
            for m in range(2):
                if stream == "motion":
                    bones[0, :, t, v, m], seen[t, v, m] = x[0, :, t, v, m], there[t, v, m]
                elif there[t, v, m] and there[t, p, m]:
                    bones[0, :, t, v, m] = x[0, :, t, v, m] - x[0, :, t, p, m]
                    seen[t, v, m] = True
    expected = torch.zeros_like(x)
    for t in range(6):
        for v in range(25):
            for m in range(2):
                if stream == "bone":
                    expected[0, :, t, v, m] = bones[0, :, t, v, m]
                elif t < 5 and seen[t, v, m] and seen[t + 1, v, m]:
                    expected[0, :, t, v, m] = bones[0, :, t + 1, v, m] - bones[0, :, t, v, m]
    torch.testing.assert_close(make_stream(x, NTU, stream), expected)
    centred = centre(x, NTU, "frame")
    given = make_stream(centred, NTU, stream, joint_presence(x))
    if stream == "bone":  # the origin differs from frame to frame, bones do not
        torch.testing.assert_close(given, expected, atol=1e-5, rtol=1e-4)


def test_resizing_takes_the_nearer_frame_across_an_absence():
    generator = torch.Generator().manual_seed(0)
    frames = torch.rand(15, 2, 17, 2, generator=generator) + 1
    frames[torch.rand(15, 1, 17, 2, generator=generator).expand_as(frames) < 0.3] = 0
    lengths = torch.tensor([4, 11])
    batch = Batch(lengths, torch.zeros(2), torch.arange(2), frames)
    plan = resize_plan(centre_crop(lengths, 1.0), 9)
    done = apply_plan(batch, plan)
    for n, start in enumerate((0, 4)):
        for t in range(9):
            a, b = frames[start + plan.lower[n, t]], frames[start + plan.upper[n, t]]
            w = plan.weight[n, t]
            for v in range(17):
                for m in range(2):
                    p, q = a[:, v, m], b[:, v, m]
                    if p.any() and q.any():
                        expected = p + (q - p) * w
                    else:
                        expected = q if w >= 0.5 else p
                    torch.testing.assert_close(done.x[n, :, t, v, m], expected)
                    assert done.presence[n, 0, t, v, m] == expected.any()


def batch_of(x: torch.Tensor) -> Batch:
    frames = x[0].transpose(0, 1)
    return Batch(torch.tensor([len(frames)]), torch.zeros(1), torch.arange(1), frames)


@pytest.mark.parametrize("source", [NTU, COCO])
@pytest.mark.parametrize("stream", ["joint", "bone", "motion"])
def test_nothing_is_ever_put_where_nothing_is(source, stream):
    """The whole pipeline with every augmentation: what is missing stays exactly 0."""
    x = torch.randn(1, 3, 7, source.num_joints, 2, generator=torch.Generator().manual_seed(0)) + 3
    wrist = source.index("left_wrist")
    x[:, :, 2:5, wrist, 0] = 0
    x[:, :, :, :, 1] = 0
    config = InputConfig(
        frames=7,
        sampling="frames",
        stream=stream,
        centre="frame",
        align="torso",
        scale="clip",
        rotation=(0.5, 0.5, 0.5),
        scaling=(0.5, 1.5),
        noise=0.1,
        shear=0.5,
        shear_probability=1.0,
    )
    pipeline = InputPipeline(NTU, config, source)
    params = pipeline.sample(batch_of(x), torch.Generator().manual_seed(1))
    for given in (params, None):
        out, there = pipeline.prepare(batch_of(x), given)
        assert not out[..., 1].any()
        assert not there[..., 1].any()
        wrist = NTU.index("left_wrist")
        assert not out[0, :, 2:5, wrist, 0].any()
        assert there[0, 0, :, wrist, 0].tolist() == [True] * 2 + [False] * 3 + [True] * 2
        if stream != "motion":
            assert out[0, :, [0, 1, 5, 6], wrist, 0].any(dim=0).all()


def test_the_noise_is_on_every_joint_that_is_there():
    x = gaps()
    plain = InputPipeline(NTU, InputConfig(frames=6, sampling="frames", centre="none"))
    noisy = InputPipeline(NTU, InputConfig(frames=6, sampling="frames", centre="none", noise=0.1))
    params = noisy.sample(batch_of(x), torch.Generator().manual_seed(0))
    added = noisy(batch_of(x), params) - plain(batch_of(x))
    there = joint_presence(x).expand_as(x)
    assert not added[~there].any()
    assert (added[there] != 0).all()


def test_the_noise_is_drawn_anew_in_every_frame():
    x = clip(2).expand(1, 3, 6, 25, 2).repeat(1, 1, 200, 1, 1)
    settings = {"frames": 1200, "sampling": "frames", "centre": "none", "stream": "motion"}
    noisy, plain = (
        InputPipeline(NTU, InputConfig(**settings, noise=0.1)),
        InputPipeline(NTU, InputConfig(**settings)),
    )
    params = noisy.sample(batch_of(x), torch.Generator().manual_seed(0))
    added = (noisy(batch_of(x), params) - plain(batch_of(x), params))[:, :, :-1]
    assert added.std().item() == pytest.approx(0.1 * 2**0.5, rel=0.02)  # of two independent frames
    assert added.mean().abs() < 1e-3
    assert torch.equal(noisy(batch_of(x), params), noisy(batch_of(x), params))
    assert torch.equal(noisy(batch_of(x)), plain(batch_of(x)))  # test time: none


def test_a_clip_with_nothing_missing_is_the_same_beside_one_with_gaps():
    frames = torch.randn(20, 3, 25, 1, generator=torch.Generator().manual_seed(0)) + 2
    holes = frames.clone()
    holes[:10, :, WRIST] = 0
    config = InputConfig(frames=8, centre="first", align="torso", scale="torso", stream="bone")
    pipeline = InputPipeline(NTU, config)
    lengths = torch.tensor([10, 10])
    both = [Batch(lengths, torch.zeros(2), torch.arange(2), f) for f in (frames, holes)]
    assert torch.equal(pipeline(both[0])[1], pipeline(both[1])[1])
    assert uniform_plan(lengths, 3).lower.shape == (2, 3)
