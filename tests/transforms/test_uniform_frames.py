"""PYSKL's choice of frames in training, and who comes first."""

import numpy as np
import pytest
import torch

from kinelex import create_encoder
from kinelex.data import Sequence
from kinelex.data.batch import Batch
from kinelex.data.named_clips import NamedClips
from kinelex.errors import InputError
from kinelex.inference.features import extract_features
from kinelex.skeleton import get_layout
from kinelex.training.encoder_files import SkeletonEncoder
from kinelex.transforms import Compose, InputConfig, InputPipeline, MainPersonFirst, UniformFrames


def test_training_frames_are_one_of_each_part_and_short_clips_repeat():
    plan = UniformFrames(10).draw(torch.tensor([4, 10, 15, 60, 61]), torch.Generator().manual_seed(0)).lower
    assert (plan[0].diff() % 4 == 1).all()  # goes round
    assert plan[1].tolist() == list(range(10))
    assert (plan[2].diff() >= 1).all()
    assert plan[2].max() < 15
    for row, length in ((3, 60), (4, 61)):
        bounds = torch.arange(11) * length // 10
        assert ((plan[row] >= bounds[:-1]) & (plan[row] < bounds[1:])).all()
    many = UniformFrames(10).draw(torch.full((4000,), 15), torch.Generator().manual_seed(0)).lower
    share = torch.stack([(many == frame).any(1).double().mean() for frame in range(15)])
    assert share.min() > 0.5  # every frame may be taken or left out
    assert share.max() < 1


def two_persons(seen_first, seen_second, frames=12):
    x = np.random.default_rng(0).normal(size=(1, 3, frames, 25, 2)).astype(np.float32)
    for person, seen in enumerate((seen_first, seen_second)):
        x[:, :, [t for t in range(frames) if t not in seen], :, person] = 0
    return x


def test_frames_without_the_main_person_are_left_out():
    x = two_persons(range(3), range(4, 12))
    chosen = Compose([MainPersonFirst(), UniformFrames(8, clips=1)], "ntu25")(x)
    assert torch.equal(chosen[0, :, :, :, 0], torch.from_numpy(x[0, :, 4:, :, 1]))
    assert torch.equal(chosen[0, :, :, :, 1], torch.from_numpy(x[0, :, 4:, :, 0]))
    alike = two_persons(range(6), range(6, 12))
    assert torch.equal(MainPersonFirst()(_batch(alike)).x, torch.from_numpy(alike))  # of two alike the first
    nobody = Compose([UniformFrames(4)], "ntu25")(np.zeros((1, 3, 5, 25, 1), np.float32))
    assert nobody.shape == (1, 3, 4, 25, 1)


def _batch(x):
    n, _, t, _, _ = x.shape
    frames = torch.from_numpy(x).permute(0, 2, 1, 3, 4).flatten(0, 1)
    there = torch.from_numpy((x != 0).any(1, keepdims=True))
    lengths = torch.full((n,), t)
    return Batch(lengths, torch.zeros(n), torch.arange(n), frames, torch.from_numpy(x), there)


def test_motion_is_that_of_the_whole_clip():
    x = np.cumsum(np.ones((1, 3, 30, 25, 1), np.float32), axis=2)
    config = InputConfig(transforms=({"name": "uniform_frames", "frames": 10},), stream="motion")
    pipeline = InputPipeline(get_layout("ntu25"), config)
    batch = _batch(x)
    batch.x = batch.presence = None
    views = pipeline.views(batch)
    assert len(views) == 10
    motion = pipeline(batch, views[0])
    assert motion[:, :, :9].unique().tolist() == [1.0]  # a frame's, not three frames'


def test_scores_of_bones_and_motions_are_means():
    layout = get_layout("coco17")
    x = np.random.default_rng(0).uniform(0.1, 1, (1, 3, 6, 17, 1)).astype(np.float32)
    config = InputConfig(
        transforms=({"name": "uniform_frames", "frames": 6},), stream="bone_motion", scores=True
    )
    batch = _batch(x)
    batch.x = batch.presence = None
    found = InputPipeline(layout, config)(batch)
    bones = (x[:, 2] + x[:, 2][:, :, list(layout.parents)]) / 2
    np.testing.assert_allclose(found[:, 2, :-1], (bones[:, :-1] + bones[:, 1:]) / 2, rtol=1e-6)
    assert found[:, 2, -1].abs().max() == 0


@pytest.mark.parametrize("lengths", [(10,), (10, 7)])
def test_features_are_means_over_readings_whichever_go_together(lengths, monkeypatch):
    layout, rng = get_layout("ntu25"), np.random.default_rng(0)
    clips = [Sequence(str(t), np.float32(rng.normal(size=(t, 1, 25, 3)))) for t in (9, 31, 64)]
    pipeline = InputPipeline(layout, InputConfig(transforms=({"name": "uniform_frames", "frames": 10},)))
    if len(lengths) > 1:  # readings of several lengths
        (name,) = (n for n, one in pipeline.transforms.transforms.items() if isinstance(one, UniformFrames))
        plans = [UniformFrames(n) for n in lengths]

        def views(pipeline, batch):
            return [{name: view} for one in plans for view in one.views(batch)[:2]]

        monkeypatch.setattr(InputPipeline, "views", views)
    encoder = create_encoder("stgcn", layout="ntu25", channels=2, depth=(1, 1, 1))
    network, rows = SkeletonEncoder(encoder, pipeline).eval(), np.arange(3)
    alone = extract_features(network, NamedClips(clips, layout), rows, batch_size=1)
    for size in (None, 3, 4, 7):
        together = extract_features(network, NamedClips(clips, layout), rows, batch_size=size)
        np.testing.assert_allclose(together, alone, atol=1e-5)
    batch = _batch(NamedClips(clips, layout).sequence(0)[None].transpose(0, 4, 1, 3, 2))
    batch.x = batch.presence = None
    readings = [network(pipeline(batch, view)) for view in pipeline.views(batch)]
    np.testing.assert_allclose(alone[0], torch.stack(readings).mean(dim=0)[0].detach(), atol=1e-5)


def test_wrong_options_are_one_message():
    with pytest.raises(InputError, match="input.scores needs a list of transforms"):
        InputConfig(scores=True)
    with pytest.raises(InputError, match="at least 1"):
        UniformFrames(clips=0)
