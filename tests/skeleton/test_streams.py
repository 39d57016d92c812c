"""Streams and mirroring against plain loops."""

import pytest
import torch

from kinelex.errors import InputError
from kinelex.skeleton import STREAMS, get_layout, make_stream, mirror

KINECT = get_layout("kinect20")


def _clip() -> torch.Tensor:
    return torch.randn(2, 3, 5, 20, 2, generator=torch.Generator().manual_seed(0))


def _bone(x: torch.Tensor) -> torch.Tensor:
    out = torch.zeros_like(x)
    for joint, parent in enumerate(KINECT.parents):
        out[:, :, :, joint] = x[:, :, :, joint] - x[:, :, :, parent]
    return out


def _motion(x: torch.Tensor) -> torch.Tensor:
    out = torch.zeros_like(x)
    for t in range(x.shape[2] - 1):
        out[:, :, t] = x[:, :, t + 1] - x[:, :, t]
    return out


@pytest.mark.parametrize("stream", STREAMS)
def test_streams_equal_plain_loops(stream: str) -> None:
    x = _clip()
    loops = {"joint": x, "bone": _bone(x), "motion": _motion(x), "bone_motion": _motion(_bone(x))}
    torch.testing.assert_close(make_stream(x, KINECT, stream), loops[stream])


def test_one_frame_has_no_motion() -> None:
    assert not make_stream(_clip()[:, :, :1], KINECT, "motion").any()


def test_streams_leave_their_input_alone_and_carry_gradients() -> None:
    x = _clip().requires_grad_()
    before = x.detach().clone()
    make_stream(x, KINECT, "bone_motion").square().sum().backward()
    assert torch.equal(x.detach(), before)
    assert x.grad is not None
    assert x.grad.abs().sum() > 0


@pytest.mark.parametrize(
    ("shape", "stream", "message"),
    [
        ((1, 3, 4, 20, 1), "bones", r"unknown stream 'bones': did you mean 'bone'\?"),
        ((1, 3, 4, 25, 1), "bone", r"V = 20 joints \(kinect20\), got shape \(1, 3, 4, 25, 1\)"),
        ((3, 4, 20, 1), "joint", r"expects \(N, C, T, V, M\)"),
    ],
)
def test_wrong_input(shape: tuple[int, ...], stream: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make_stream(torch.zeros(shape), KINECT, stream)


@pytest.mark.parametrize("axis", [0, 2])
def test_mirror_equals_a_plain_loop(axis: int) -> None:
    x = _clip()
    expected = torch.zeros_like(x)
    for joint, name in enumerate(KINECT.joints):
        other = name.replace("left", "RIGHT").replace("right", "left").replace("RIGHT", "right")
        expected[:, :, :, joint] = x[:, :, :, KINECT.index(other)]
    expected[:, axis] = -expected[:, axis]
    torch.testing.assert_close(mirror(x, KINECT, axis), expected)
