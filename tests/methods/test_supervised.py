"""The supervised method: streams side by side, options, what it refuses."""

from functools import partial

import pytest
import torch

from kinelex import encoders
from kinelex.data.batch import Batch
from kinelex.errors import InputError
from kinelex.losses import classification_loss
from kinelex.methods import Supervised, TrainingPart
from kinelex.skeleton import get_layout, make_stream

LAYOUT = get_layout("kinect20")
PART = TrainingPart("joint", {}, ("walk", "sit", "wave"), (4, 2, 2))


def make_encoder():
    return encoders.create("stgcn", layout=LAYOUT, channels=4, out_features=8, depth=(1, 1, 1))


def make_batch(n=8):
    return Batch(torch.full((n,), 9), torch.arange(n) % 3, torch.arange(n))


def make_x(n=8):
    return torch.randn(n, 3, 9, 20, 1, generator=torch.Generator().manual_seed(0))


def test_each_stream_learns_as_it_would_alone():
    torch.manual_seed(0)
    together = Supervised(make_encoder, PART, ("joint", "bone"))
    batch, x = make_batch(), make_x()
    loss, logs = together(x, batch, torch.Generator())
    loss.backward()
    total = 0.0
    for stream in ("joint", "bone"):
        alone = Supervised(make_encoder, TrainingPart(stream, {}, PART.class_names, PART.class_counts))
        alone.streams[stream].load_state_dict(together.streams[stream].state_dict())
        own, _ = alone(make_stream(x, LAYOUT, stream), batch, torch.Generator())
        own.backward()
        total += own.item()
        assert logs[f"loss/{stream}"].item() == pytest.approx(own.item(), rel=1e-5)
        for mine, theirs in zip(
            together.streams[stream].parameters(), alone.streams[stream].parameters(), strict=True
        ):
            assert torch.allclose(mine.grad, theirs.grad, atol=1e-6)
    assert loss.item() == pytest.approx(total, rel=1e-5)


def test_options_reach_the_loss():
    torch.manual_seed(0)
    method = Supervised(make_encoder, PART, label_smoothing=0.3, class_weights="balanced").eval()
    batch, x = make_batch(), make_x()
    loss, logs = method(x, batch, torch.Generator())
    scores = method.classifiers["joint"](method.encoders["joint"](x))
    weights = torch.tensor([8 / 12, 8 / 6, 8 / 6])
    assert loss.item() == pytest.approx(classification_loss(scores, batch.labels, weights, 0.3).item())
    hits = sum(int(s.argmax()) == int(y) for s, y in zip(scores, batch.labels, strict=True))
    assert logs["accuracy/joint"].item() == pytest.approx(hits / 8)


def test_mixup_draws_from_the_generator():
    torch.manual_seed(0)
    method = Supervised(make_encoder, PART, mixup=0.4).eval()
    batch, x = make_batch(), make_x()
    draw = [method(x, batch, torch.Generator().manual_seed(s))[0].item() for s in (1, 1, 2)]
    assert draw[0] == draw[1] != draw[2]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"streams": ("joint", "bon")}, "unknown stream 'bon'.*did you mean 'bone'"),
        ({"streams": ("bone", "bone")}, "expects every stream once"),
        ({"label_smoothing": 1.0}, "label_smoothing of at least 0 and below 1"),
        ({"mixup": -1.0}, "mixup of at least 0"),
        ({"dropout": 1.0}, "dropout of at least 0 and below 1"),
        ({"class_weights": "inverse"}, "unknown class_weights 'inverse'"),
    ],
)
def test_options_out_of_range_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        Supervised(make_encoder, PART, **options)


def test_inputs_that_cannot_be_are_refused():
    bones = TrainingPart("bone", {}, PART.class_names, PART.class_counts)
    with pytest.raises(InputError, match=r"leave out input\.stream=bone"):
        Supervised(make_encoder, bones, streams=("joint", "bone"))
    with pytest.raises(InputError, match="two classes or more, the store has 1"):
        Supervised(make_encoder, TrainingPart("joint", {}, ("walk",), (4,)))


def test_a_stream_that_only_guesses_is_named():
    method = Supervised(partial(make_encoder), PART, ("joint", "bone"))
    guessing = {"loss/joint": 1.0985, "loss/bone": 0.2}
    assert method.warnings([guessing] * 4) == []
    (warning,) = method.warnings([guessing] * 5)
    assert warning.startswith("the joint stream learns nothing: after 5 epochs")
