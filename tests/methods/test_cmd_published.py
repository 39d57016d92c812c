"""One training step of the published CMD: every logit, loss, gradient and the state after, to 1e-5."""

import numpy as np
import pytest
import torch

from kinelex import encoders
from kinelex.encoders.published.cmd import (
    SUFFIXES,
    encoder_options,
    method_name,
    published_to_encoders,
    published_to_method,
)
from kinelex.errors import InputError
from kinelex.losses import queue_similarities
from kinelex.methods import CMD
from kinelex.methods.momentum import follow


@pytest.fixture(scope="module")
def reference(shared):
    with np.load(shared / "reference" / "cmd_step.npz") as z:
        return {name: torch.from_numpy(z[name]) for name in z.files}


def part(reference, prefix):
    return {k.removeprefix(prefix): v for k, v in reference.items() if k.startswith(prefix)}


@pytest.fixture
def method(reference):
    state = part(reference, "before_state/")
    options = encoder_options(published_to_encoders(state)["joint"], joints=25)
    encoder = encoders.create("gru", layout="ntu25", **options)
    method = CMD(encoder, dim=8, queue=64, momentum=0.9, top_k=24)
    method.load_state_dict(published_to_method(state))
    return method


def close(found, expected):
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def test_loss_gradients_and_state_after_the_step(reference, method):
    x = torch.cat([reference["query"], reference["key"]])
    loss, logs = method(x)
    loss.backward()
    distilled = sum(v for k, v in logs.items() if k.startswith("distillation/"))
    close(distilled, reference["loss_cmd"])
    close(loss, reference["loss"])
    gradients = part(reference, "grad/")
    found = {f"query.{name}": p.grad for name, p in method.query.named_parameters()}
    assert {method_name(name) for name in gradients} == set(found)
    for name, expected in gradients.items():
        # Gradients reach 20, where processors' float32 products differ by 1e-6 of the value.
        torch.testing.assert_close(found[method_name(name)], expected, atol=1e-5, rtol=1e-6)
    after = published_to_method(part(reference, "after_state/"))
    assert set(after) == set(method.state_dict())
    for name, value in method.state_dict().items():
        close(value, after[name])


def test_every_logit(reference, method):
    with torch.no_grad():
        follow(method.key, method.query, method.momentum)
        queries, keys = (
            method._embed(method.query, reference["query"], None),
            method._embed(method.key, reference["key"], None),
        )
        positive, negative = queue_similarities(queries, keys, method.queue)
    for s, stream in enumerate(method.streams):
        cosines = torch.cat([positive[s, :, None], negative[s]], dim=1)
        published = 0.07 * reference[f"logits_{stream}"]
        torch.testing.assert_close(cosines, published, atol=2e-6, rtol=0)  # products of float32, in any order


def test_prefixes_of_data_parallel_and_what_is_no_such_checkpoint(reference):
    state = part(reference, "before_state/")
    prefixed = {f"module.{k}": v for k, v in state.items()}
    plain, stripped = published_to_method(state), published_to_method(prefixed)
    assert set(plain) == set(stripped)
    assert all(torch.equal(plain[k], stripped[k]) for k in plain)
    assert list(published_to_encoders(prefixed)) == list(SUFFIXES)
    with pytest.raises(InputError, match=r"run\.pth has no encoder_q, its parameters are conv1\.weight"):
        published_to_encoders({"conv1.weight": torch.zeros(1)}, "run.pth")
    without = {k: v for k, v in state.items() if "weight_hh_l1_reverse" not in k}
    with pytest.raises(InputError, match=r"encoder_q, has no encoder\.gru\.weight_hh_l1_reverse"):
        published_to_encoders(without)
    with pytest.raises(InputError, match="has no queue_motion"):
        published_to_method({k: v for k, v in state.items() if k != "queue_motion"})
    with pytest.raises(InputError, match=r"pointers differ \(56, 3, 56\)"):
        published_to_method({**state, "queue_ptr_motion": torch.tensor([3])})
    with pytest.raises(InputError, match="150 numbers per frame.*20 joints of 3"):
        encoder_options(published_to_encoders(state)["bone"], joints=20)
    narrow = {**state, "encoder_q.input_norm.weight": torch.zeros(60)}
    with pytest.raises(InputError, match=r"has weight_ih_l0 \(48, 60\), got \(48, 150\)"):
        published_to_encoders(narrow)
