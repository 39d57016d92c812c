"""The supervised method: streams side by side, options, what it refuses."""

import pytest
import torch

from kinelex import encoders
from kinelex.errors import InputError
from kinelex.losses import classification_loss
from kinelex.methods import Supervised
from kinelex.skeleton import get_layout, make_stream

LAYOUT = get_layout("kinect20")
LABELS = torch.arange(8) % 3


def make_encoder():
    return encoders.create("stgcn", layout=LAYOUT, channels=4, out_features=8, depth=(1, 1, 1))


def make_x(n=8):
    return torch.randn(n, 3, 9, 20, 1, generator=torch.Generator().manual_seed(0))


def test_each_stream_learns_as_it_would_alone():
    torch.manual_seed(0)
    together = Supervised({s: make_encoder() for s in ("joint", "bone")}, num_classes=3)
    x = make_x()
    loss, logs = together(x, labels=LABELS)
    loss.backward()
    total = 0.0
    for stream in ("joint", "bone"):
        alone = Supervised(make_encoder(), 3, stream=stream)
        alone.streams[stream].load_state_dict(together.streams[stream].state_dict())
        own, _ = alone(make_stream(x, LAYOUT, stream), labels=LABELS)
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
    options = {"class_counts": (4, 2, 2), "label_smoothing": 0.3, "class_weights": "balanced"}
    method, x = Supervised(make_encoder(), 3, **options).eval(), make_x()
    loss, logs = method(x, labels=LABELS)
    scores = method.classifiers["joint"](method.encoders["joint"](x))
    weights = torch.tensor([8 / 12, 8 / 6, 8 / 6])
    assert loss.item() == pytest.approx(classification_loss(scores, LABELS, weights, 0.3).item())
    hits = sum(int(s.argmax()) == int(y) for s, y in zip(scores, LABELS, strict=True))
    assert logs["accuracy/joint"].item() == pytest.approx(hits / 8)


def test_mixup_draws_from_the_generator():
    torch.manual_seed(0)
    method, x = Supervised(make_encoder(), 3, mixup=0.4).eval(), make_x()
    seeds = (torch.Generator().manual_seed(s) for s in (1, 1, 2))
    draw = [method(x, labels=LABELS, generator=generator).loss.item() for generator in seeds]
    assert draw[0] == draw[1] != draw[2]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"streams": ("joint", "bon")}, "unknown stream 'bon'.*did you mean 'bone'"),
        ({"streams": ("bone", "bone")}, "every stream once"),
        ({"label_smoothing": 1.0}, "label_smoothing of at least 0 and below 1"),
        ({"mixup": -1.0}, "mixup of 0 or at least 0.1"),
        ({"mixup": 0.02}, "mixup of 0 or at least 0.1"),
        ({"dropout": 1.0}, "dropout of at least 0 and below 1"),
        ({"class_weights": "inverse"}, "unknown class_weights 'inverse'"),
        ({"class_weights": "balanced"}, "needs class_counts"),
        ({"class_counts": (4, 2)}, "class_counts of 3 classes, got 2"),
        ({"num_classes": None}, "needs two classes or more, got num_classes=None"),
        ({"num_classes": 1}, "got num_classes=1"),
    ],
)
def test_options_out_of_range_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        Supervised(make_encoder(), **{"num_classes": 3, **options})


def test_frozen_encoders_stay_as_they_are():
    method, x = Supervised(make_encoder(), 3, frozen=True).train(), make_x()
    before = {k: v.clone() for k, v in method.encoders["joint"].state_dict().items()}
    method(x, labels=LABELS).loss.backward()
    assert [p.requires_grad for p in method.trained_parameters()] == [True, True]  # the classifier's
    assert all(torch.equal(v, before[k]) for k, v in method.encoders["joint"].state_dict().items())
    method.encoders["joint"].train()
    with pytest.raises(InputError, match=r"in train mode.*call train\(\) of the method"):
        method(x, labels=LABELS)


def test_a_stream_that_only_guesses_is_named():
    method = Supervised(make_encoder(), 3, streams=("joint", "bone"))
    guessing = {"loss/joint": 1.0985, "loss/bone": 0.2}
    assert method.warnings([guessing] * 4) == []
    (warning,) = method.warnings([guessing] * 5)
    assert warning.startswith("the joint stream learns nothing: after 5 epochs")
