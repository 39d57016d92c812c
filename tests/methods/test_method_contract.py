"""Every registered method keeps the contract: from arrays, without files, trainer and hooks of its own."""

import copy

import pytest
import torch

from kinelex import create_encoder, list_methods
from kinelex.errors import InputError
from kinelex.methods import StepOutput, method_class

CLIPS, LAYOUT = 8, "sbu15"
OPTIONS = {"cmd": {"queue": 16, "top_k": 4, "dim": 8}, "sofa": {"prototypes": 8, "dim": 4, "hidden": 8}}
OPTIONS |= {f"{name}_c2vl": OPTIONS[name] for name in ("cmd", "sofa")}
OPTIONS["mamp"] = OPTIONS["amr"] = {"decoder_heads": 2}
OPTIONS["skeletonclr"] = OPTIONS["aimclr"] = {"queue": 16, "dim": 8}
SMALL = {"dim": 8, "depth": 1, "heads": 2}
ENCODERS = {"sofa": ("slots", SMALL), "mamp": ("transformer", SMALL)}  # others take any
ENCODERS["amr"], ENCODERS["sofa_c2vl"] = ENCODERS["mamp"], ENCODERS["sofa"]


def make(name, factory=None, **options):
    """A method of a small encoder (or of what is no encoder), and what a step of it takes."""
    torch.manual_seed(0)
    method = method_class(name)
    given, step = dict(OPTIONS.get(name, {})), {}
    if method.needs_prompts:
        prompts = {"language": torch.randn(CLIPS, 3, 6), "vision": torch.randn(CLIPS, 2, 5)}
        given["prompts"] = step["prompts"] = prompts
    if method.needs_labels:
        given["num_classes"], step["labels"] = 3, torch.arange(CLIPS) % 3
    kind, sizes = ENCODERS.get(name, ("stgcn", {"channels": 2, "depth": (1, 1, 1)}))
    encoder = factory or create_encoder(kind, layout=LAYOUT, **sizes)
    made = method(encoder, **{**given, **options})
    return made, {"x": torch.randn(CLIPS * made.views, 3, 8, 15, 1), **step}


@pytest.mark.parametrize("name", list_methods())
def test_a_step_teaches_every_encoder(name):
    method, step = make(name)
    before = copy.deepcopy(method.encoders)
    optimizer = torch.optim.SGD(method.trained_parameters(), lr=0.1)
    for epoch in range(2):
        method.on_epoch_start(epoch, 2)
        out = method(**step, generator=torch.Generator().manual_seed(epoch))
        assert isinstance(out, StepOutput)
        optimizer.zero_grad()
        out.loss.backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in method.trained_parameters())
        optimizer.step()
        method.on_epoch_end()
    assert out.loss.isfinite()
    assert out.loss.shape == ()
    assert all(not value.requires_grad and value.ndim <= 1 for value in out.logs.values())
    assert any(key.startswith("loss/") for key in out.logs)
    for stream, encoder in method.encoders.items():
        pairs = zip(encoder.parameters(), before[stream].parameters(), strict=True)
        assert any(not torch.equal(now, then) for now, then in pairs)
    assert set(method.classifiers) in (set(), set(method.encoders))
    assert method.warnings([{k: float(v) for k, v in out.logs.items() if v.ndim == 0}] * 2) == []
    again, _ = make(name)
    again.load_state_dict(method.state_dict())


@pytest.mark.parametrize("name", list_methods())
def test_the_same_draws_give_the_same_loss(name):
    losses = []
    for _ in range(2):
        method, step = make(name)
        method.on_epoch_start(1, 3)
        losses.append(method(**step, generator=torch.Generator().manual_seed(3)).loss)
    assert torch.equal(*losses)


@pytest.mark.parametrize("name", list_methods())
def test_half_precision_gives_nearly_the_same_loss(name):
    """`precision: auto` of the recipes takes it where the processor has it."""
    losses = []
    for enabled in (False, True):
        method, step = make(name)
        method.on_epoch_start(1, 3)
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            out = method(**step, generator=torch.Generator().manual_seed(3))
        out.loss.backward()
        assert out.loss.dtype == torch.float32
        losses.append(float(out.loss.detach()))
    assert losses[1] == pytest.approx(losses[0], rel=0.05)


@pytest.mark.parametrize("name", list_methods())
def test_wrong_use_is_one_message(name):
    method, step = make(name)
    if method.needs_epochs:
        with pytest.raises(InputError, match=rf"{name} .* call on_epoch_start\(epoch, epochs\)"):
            method(**step)
    method.on_epoch_start(0, 3)
    for missing in ("prompts", "labels"):
        if missing in step:
            with pytest.raises(InputError, match=f"{name} (reads language|learns from) {missing}.*got none"):
                method(**{**step, missing: None})
    with pytest.raises(InputError, match="expects an encoder, or .*: call it"):
        make(name, factory=lambda: None)
    if method.needs_labels:
        with pytest.raises(InputError, match="got num_classes=None"):
            make(name, num_classes=None)
