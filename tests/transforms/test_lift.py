"""Depths that clips without depth get: what is there stays, and the guess is better than none."""

import shutil

import pytest
import torch
from torch.utils.data import DataLoader

import kinelex
from kinelex.cli.main import main
from kinelex.data import open_store
from kinelex.data.dataset import ClipDataset
from kinelex.errors import InputError
from kinelex.skeleton import get_layout
from kinelex.training.train import train
from kinelex.transforms import Centre, Compose, CropResize, LiftPose, create
from kinelex.transforms.base import clips_of
from kinelex.transforms.lift import LIFTER, PoseLifter, packed
from kinelex.transforms.spatial import rotate, rotation_matrices

LIFT = Compose([LiftPose()], layout="ntu25")


@pytest.fixture(scope="module")
def bodies(acted):
    """Clips of actors (N, 3, 32, 25, 1): metres, y up, looking along z, from a side drawn for each."""
    dataset = ClipDataset(open_store(acted.store), rows=range(40))
    batch = next(iter(DataLoader(dataset, batch_size=40, collate_fn=dataset.collate)))
    clips, _ = clips_of(Compose([CropResize(32), Centre("pelvis", "frame")], layout="ntu25")(batch))
    angles = torch.rand(40, 3, generator=torch.Generator().manual_seed(0)) * torch.tensor([0.0, 6.2, 0.0])
    return rotate(clips[..., :1], rotation_matrices(angles))


def flat(x, axis=2):
    return x * (torch.arange(3) != axis).view(1, 3, 1, 1, 1)


def test_the_guess_is_better_than_none_and_than_its_mirror_image(bodies):
    found, known = LIFT(flat(bodies)), bodies
    none, error, mirrored = (
        (z - known[:, 2]).abs().mean() for z in (torch.zeros_like(known[:, 2]), found[:, 2], -found[:, 2])
    )
    assert error < 0.75 * none
    assert mirrored > none


def test_clips_with_depth_stay_and_what_is_seen_does(bodies):
    some = torch.cat([flat(bodies[:3]), bodies[3:6]])
    found = LIFT(some)
    assert torch.equal(found[3:], some[3:])
    assert torch.equal(found[:3, :2], some[:3, :2])
    assert found[:3, 2].abs().mean() > 0.02
    plane = bodies[:3, :2]
    assert torch.equal(LIFT(plane), plane)


@pytest.mark.parametrize("axis", [0, 1])
def test_any_coordinate_can_be_the_one_that_lacks(bodies, axis):
    seen = bodies[:4].roll(axis - 2, dims=1)  # the axes in the same order: the same hand
    torch.testing.assert_close(LIFT(flat(seen, axis)), LIFT(flat(bodies[:4])).roll(axis - 2, dims=1))


def test_it_turns_grows_and_moves_with_the_picture(bodies):
    plane, angle = flat(bodies[:4]), torch.tensor([[0.0, 0.0, 2.0]]).expand(4, 3)
    found, there = LIFT(plane), (plane != 0).any(dim=1, keepdim=True)
    turned = LIFT(rotate(plane, rotation_matrices(angle)) * 200)
    torch.testing.assert_close(turned[:, 2], found[:, 2] * 200, rtol=1e-3, atol=0.5)
    moved = LIFT((plane + torch.tensor([3.0, -1.0, 0.0]).view(1, 3, 1, 1, 1)) * there)
    torch.testing.assert_close(moved[:, 2], found[:, 2], rtol=1e-3, atol=1e-3)


def test_absent_joints_and_persons_stay_absent_and_persons_are_read_alone(bodies):
    plane = flat(bodies[:4])
    absent = [get_layout("ntu25").index(joint) for joint in ("left_wrist", "right_hand_tip")]
    lacking = plane.clone()
    lacking[:, :, :, absent] = 0
    pair = torch.cat([plane, torch.zeros_like(plane)], dim=4)
    assert not LIFT(lacking)[:, :, :, absent].any()
    assert not LIFT(pair)[..., 1].any()
    torch.testing.assert_close(LIFT(pair)[..., :1], LIFT(plane))
    two = torch.cat([plane, plane.roll(1, dims=0)], dim=4)
    torch.testing.assert_close(LIFT(two)[..., :1], LIFT(plane))
    nothing = torch.zeros(1, 3, 8, 25, 1)
    assert torch.equal(LIFT(nothing), nothing)


def test_arms_alone_are_lifted_and_a_layout_without_a_body_is_refused(bodies):
    arms = get_layout("text2action8")
    x = torch.randn(2, 3, 12, arms.num_joints, 1, generator=torch.Generator().manual_seed(0))
    assert torch.isfinite(Compose([LiftPose()], layout=arms)(flat(x))).all()
    hand = torch.randn(2, 3, 12, 21, 1)
    with pytest.raises(InputError, match="no joint of the layout core16 can be had from hand21"):
        Compose([LiftPose()], layout="hand21")(flat(hand))


def test_a_run_keeps_the_weights_it_was_trained_with(acted, bodies, tmp_path, capsys):
    torch.manual_seed(0)
    own = tmp_path / "own.safetensors"
    own.write_bytes(packed(PoseLifter(8).eval()))
    recipe = tmp_path / "recipe.yaml"
    steps = f"[crop_resize, {{name: lift_pose, weights: {own}}}, centre]"
    small = "encoder: {name: gru, hidden: 4}"
    recipe.write_text(
        f"method: {{name: cmd, queue: 128, top_k: 4}}\n{small}\ninput: {{transforms: {steps}}}\n"
    )
    run = tmp_path / "run"
    train(str(recipe), acted.store, "xsub", run, overrides=["epochs=0", "accelerator=cpu"])
    expected = Compose([create("lift_pose", weights=str(own))], layout="ntu25")(flat(bodies[:2]))
    assert not torch.equal(expected, LIFT(flat(bodies[:2])))
    assert str(own) not in (run / "encoder.json").read_text()
    own.unlink()
    shutil.move(run, tmp_path / "moved")
    loaded = kinelex.load_encoder(tmp_path / "moved")
    (kept,) = [t for t in loaded.pipeline.transforms.transforms.values() if isinstance(t, LiftPose)]
    torch.testing.assert_close(Compose([kept], layout="ntu25")(flat(bodies[:2])), expected)
    told = tmp_path / "told.json"
    assert main(["info", str(tmp_path / "moved"), "--json", str(told)]) == 0
    assert str(tmp_path / "moved" / LIFTER) in told.read_text()
    config = tmp_path / "moved" / "config.yaml"
    config.write_text(config.read_text().replace("transforms:", "transforms: 5\n  other:"))
    assert main(["info", str(tmp_path / "moved")]) == 2
    assert "the run's section input is damaged" in capsys.readouterr().err


@pytest.mark.parametrize("content", [None, b"no weights", b""])
def test_weights_that_are_none_are_refused(tmp_path, content):
    path = tmp_path / "weights.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=r"lift_pose\.weights=.*has no weights of a lifter"):
        create("lift_pose", weights=str(path))
