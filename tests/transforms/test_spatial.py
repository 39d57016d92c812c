"""Normalisation, rotation, scaling and the input pipeline against plain loops."""

import numpy as np
import pytest
import torch

from kinelex.data.batch import Batch
from kinelex.errors import InputError
from kinelex.skeleton import SkeletonLayout, get_layout
from kinelex.transforms import (
    InputConfig,
    InputPipeline,
    align_body,
    centre,
    fill_empty,
    rotate,
    sample_rotation,
    sample_scale,
    scale,
    scale_clip,
)
from kinelex.transforms.normalise import rotation_between

NTU = get_layout("ntu25")


@pytest.fixture
def clips():
    x = torch.randn(4, 3, 6, 25, 2, generator=torch.Generator().manual_seed(0))
    x[1, :, :, :, 1] = 0  # one person
    x[2, :, :2] = 0  # nobody in the first two frames
    return x


def test_fill_empty_against_a_loop(clips):
    clips[3, :, [1, 4, 5], :, 1] = 0  # lost and found, then gone
    clips[0, :, 4:, :, 0] = 0
    out = fill_empty(clips)
    for n in range(len(clips)):
        for m in range(2):
            frames = [clips[n, :, t, :, m] for t in range(6)]
            if not any(f.any() for f in frames):
                assert not out[n, ..., m].any()
                continue
            if not frames[0].any():
                frames = [f for f in frames if f.any()]
            while not frames[-1].any():
                frames.pop()
            for t in range(6):
                torch.testing.assert_close(out[n, :, t, :, m], frames[t % len(frames)])


@pytest.mark.parametrize("mode", ["first", "frame", "mean"])
def test_centre_against_a_loop(clips, mode):
    out = centre(clips, NTU, mode)
    spine = NTU.index("spine")
    for n in range(len(clips)):
        seen = [t for t in range(6) if clips[n, :, t, :, 0].any()]
        path = clips[n, :, :, spine, 0]
        for t in range(6):
            if mode == "first":
                origin = path[:, seen[0]]
            elif mode == "frame":
                origin = path[:, t]
            else:
                origin = path[:, seen].mean(dim=1)
            for m in range(2):
                body = clips[n, :, t, :, m]
                expected = body - origin[:, None] if body.any() else body
                torch.testing.assert_close(out[n, :, t, :, m], expected)


def test_scale_clip_maps_each_axis_to_plus_minus_one(clips):
    out = scale_clip(clips, NTU, "clip")
    for n in range(len(clips)):
        there = [(t, m) for t in range(6) for m in range(2) if clips[n, :, t, :, m].any()]
        values = torch.stack([clips[n, :, t, :, m] for t, m in there])
        result = torch.stack([out[n, :, t, :, m] for t, m in there])
        for c in range(3):
            low, high = values[:, c].min(), values[:, c].max()
            torch.testing.assert_close(result[:, c], (values[:, c] - low) / (high - low) * 2 - 1)
    assert not out[2, :, :2].any()


def test_scale_torso(clips):
    out = scale_clip(clips, NTU, "torso")
    pelvis, shoulders = NTU.index("pelvis"), NTU.index("shoulder_center")
    length = (clips[2, :, 2:, shoulders, 0] - clips[2, :, 2:, pelvis, 0]).norm(dim=0).mean()
    torch.testing.assert_close(out[2], clips[2] / length)


def test_align_body_meets_its_definition():
    x = torch.randn(5, 3, 8, 25, 1, generator=torch.Generator().manual_seed(1))
    x[:, 1, :, NTU.index("shoulder_center")] += 3
    published, torso = align_body(x, NTU, "body"), align_body(x, NTU, "torso")

    def between(x, start, end):
        return x[:, :, :, NTU.index(end), 0] - x[:, :, :, NTU.index(start), 0]

    across = between(published, "left_shoulder", "right_shoulder")[:, :, 0]
    torch.testing.assert_close(across[:, 0], across.norm(dim=1), atol=1e-4, rtol=1e-4)
    up = between(torso, "pelvis", "shoulder_center").mean(dim=2)
    torch.testing.assert_close(up[:, 2], up.norm(dim=1), atol=1e-4, rtol=1e-4)
    across = between(torso, "right_shoulder", "left_shoulder").mean(dim=2)
    assert (across[:, 0] > 0).all()
    torch.testing.assert_close(across[:, 1], torch.zeros(5), atol=1e-4, rtol=0)
    for out in (published, torso):
        torch.testing.assert_close(out.norm(dim=1), x.norm(dim=1), atol=1e-4, rtol=1e-4)


def test_torso_frame_does_not_depend_on_the_camera_even_for_degenerate_bodies():
    x = torch.randn(4, 3, 8, 25, 1, generator=torch.Generator().manual_seed(1))
    turned = rotate(x, sample_rotation(4, (3.0, 3.0, 3.0), torch.Generator().manual_seed(2)))
    torch.testing.assert_close(align_body(turned, NTU), align_body(x, NTU), atol=1e-4, rtol=1e-4)
    point = torch.ones(2, 3, 4, 25, 1)  # all joints in one place
    assert align_body(point, NTU).isfinite().all()
    torch.testing.assert_close(align_body(point, NTU).norm(dim=1), point.norm(dim=1))


def test_align_body_gives_the_same_clip_from_every_camera():
    """For an upright body (spine square to the shoulders) the result does not depend on the camera."""
    x = torch.randn(3, 3, 8, 25, 1, generator=torch.Generator().manual_seed(1))
    x[:, :, 0, NTU.index("pelvis")] = torch.tensor([0.0, -0.5, 0.0])[:, None]
    x[:, :, 0, NTU.index("spine")] = 0
    x[:, :, 0, NTU.index("left_shoulder")] = torch.tensor([0.2, 0.5, 0.1])[:, None]
    x[:, :, 0, NTU.index("right_shoulder")] = torch.tensor([-0.2, 0.5, -0.1])[:, None]
    turned = rotate(x, sample_rotation(3, (2.0, 2.0, 2.0), torch.Generator().manual_seed(2)))
    torch.testing.assert_close(
        align_body(turned, NTU, "body"), align_body(x, NTU, "body"), atol=1e-4, rtol=1e-4
    )


def test_rotation_between_handles_half_turns_and_zero():
    target = torch.tensor([0.0, 0.0, 1.0])
    source = torch.tensor([[0.0, 0.0, -2.0], [0.0, 0.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 3.0]])
    rotation = rotation_between(source, target)
    torch.testing.assert_close(
        rotation @ rotation.transpose(1, 2), torch.eye(3).expand(4, 3, 3), atol=1e-5, rtol=0
    )
    turned = (rotation @ source[:, :, None])[:, :, 0]
    torch.testing.assert_close(turned[[0, 2, 3]], target * source[[0, 2, 3]].norm(dim=1, keepdim=True))
    torch.testing.assert_close(rotation[1], torch.eye(3))


def test_rotation_and_scale_against_loops():
    x = torch.randn(3, 3, 4, 5, 2)
    generator = torch.Generator().manual_seed(0)
    rotation, factors = sample_rotation(3, (0.3, 0.2, 0.1), generator), sample_scale(3, (0.8, 1.2), generator)
    turned, scaled = rotate(x, rotation), scale(x, factors)
    for n, t, v, m in np.ndindex(3, 4, 5, 2):
        torch.testing.assert_close(turned[n, :, t, v, m], rotation[n] @ x[n, :, t, v, m])
        torch.testing.assert_close(scaled[n, :, t, v, m], factors[n] * x[n, :, t, v, m])
    assert ((factors >= 0.8) & (factors <= 1.2)).all()
    torch.testing.assert_close(torch.linalg.det(rotation), torch.ones(3))


def test_pipeline_replays_a_draw_and_changes_with_it():
    config = InputConfig(
        frames=12, crop_minimum=4, align="body", rotation=(0.1, 0.1, 0.5), scaling=(0.9, 1.1), noise=0.01
    )
    pipeline = InputPipeline(get_layout("kinect20"), config)
    batch = Batch(torch.tensor([9, 20]), torch.zeros(2), torch.arange(2), frames=torch.randn(29, 3, 20, 2))
    generator = torch.Generator().manual_seed(0)
    first, second = pipeline.sample(batch, generator), pipeline.sample(batch, generator)
    torch.testing.assert_close(pipeline(batch, first), pipeline(batch, first), atol=0, rtol=0)
    assert not torch.equal(pipeline(batch, first), pipeline(batch, second))
    assert pipeline(batch).shape == (2, 3, 12, 20, 2)


def test_wrong_settings_are_named():
    with pytest.raises(InputError, match="unknown align 'bdy': did you mean 'body'"):
        InputConfig(align="bdy")
    with pytest.raises(InputError, match="turns skeletons in 3-D, these have 2 .*input.align=none"):
        align_body(torch.randn(1, 2, 4, 25, 1), NTU)


def _smallest_turn(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Rotation matrix about source × target by the angle between them, entry by entry."""
    axis = np.cross(source, target)
    angle = np.arccos(np.dot(source, target) / np.linalg.norm(source) / np.linalg.norm(target))
    x, y, z = axis / np.linalg.norm(axis)
    c, s = np.cos(angle), np.sin(angle)
    return np.array(
        [
            [c + x * x * (1 - c), x * y * (1 - c) - z * s, x * z * (1 - c) + y * s],
            [y * x * (1 - c) + z * s, c + y * y * (1 - c), y * z * (1 - c) - x * s],
            [z * x * (1 - c) - y * s, z * y * (1 - c) + x * s, c + z * z * (1 - c)],
        ]
    )


def test_align_body_as_published_against_a_loop(clips):
    """Joint by joint, in float64: hip → spine of the first frame with a body to z, left → right to x."""
    out = align_body(clips, NTU, "body")
    hip, spine, right, left = (
        NTU.index(name) for name in ("pelvis", "spine", "right_shoulder", "left_shoulder")
    )
    for n in range(len(clips)):
        clip = clips[n].double().numpy()
        first = next(t for t in range(6) if clip[:, t, :, 0].any())
        for start, end, axis in ((hip, spine, [0, 0, 1]), (left, right, [1, 0, 0])):
            turn = _smallest_turn(clip[:, first, end, 0] - clip[:, first, start, 0], np.array(axis, float))
            turned = np.zeros_like(clip)
            for t in range(6):
                for v in range(25):
                    for m in range(2):
                        turned[:, t, v, m] = turn @ clip[:, t, v, m]
            clip = turned
        np.testing.assert_allclose(out[n].numpy(), clip, atol=2e-5)


def test_align_torso_against_a_loop(clips):
    """Joint by joint, in float64: the mean trunk is z, the mean shoulder line without its part in z is x."""
    out = align_body(clips, NTU, "torso")
    hip, neck, right, left = (
        NTU.index(name) for name in ("pelvis", "shoulder_center", "right_shoulder", "left_shoulder")
    )
    for n in range(len(clips)):
        clip = clips[n].double().numpy()
        up = sum(clip[:, t, neck, 0] - clip[:, t, hip, 0] for t in range(6))
        up = up / np.sqrt((up**2).sum())
        side = sum(clip[:, t, left, 0] - clip[:, t, right, 0] for t in range(6))
        side = side - (side * up).sum() * up
        side = side / np.sqrt((side**2).sum())
        axes = (side, np.cross(up, side), up)
        for t in range(6):
            for v in range(25):
                for m in range(2):
                    expected = [(axis * clip[:, t, v, m]).sum() for axis in axes]
                    np.testing.assert_allclose(out[n, :, t, v, m].numpy(), expected, atol=2e-5)


ARMS = SkeletonLayout(
    "arms", ("neck", "left_shoulder", "left_wrist", "right_shoulder", "right_wrist"), (0, 0, 1, 0, 3)
)


def test_a_layout_without_a_spine_is_centred_on_its_root():
    x = torch.randn(2, 3, 4, 5, 1, generator=torch.Generator().manual_seed(0))
    out = centre(x, ARMS, "first")
    torch.testing.assert_close(out, x - x[:, :, :1, :1])


def test_a_joint_that_the_layout_has_not_is_no_root():
    with pytest.raises(InputError, match=r"unknown joint of the layout ntu25 'pelvs': did you mean 'pelvis'"):
        centre(torch.randn(1, 3, 2, 25, 1), NTU, "first", "pelvs")


@pytest.mark.parametrize("option", ["align=body", "align=torso", "scale=torso"])
def test_what_needs_a_torso_says_so(option):
    x = torch.randn(2, 3, 4, 5, 1)
    key, _, value = option.partition("=")
    operator = align_body if key == "align" else scale_clip
    other = {"align": "none", "scale": "body"}[key]
    with pytest.raises(InputError, match=rf"{option} does not suit these clips, pass input.{key}={other}: "):
        operator(x, ARMS, value)
