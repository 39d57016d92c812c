"""USDRL: what each domain looks at, absent persons, and what is refused."""

import pytest
import torch

from kinelex import create_encoder
from kinelex.errors import InputError
from kinelex.methods import USDRL
from kinelex.methods.base import StepInput


def made(encoder: str = "stgcn", **options):
    torch.manual_seed(0)
    sizes = {"stgcn": {"channels": 2, "depth": (1, 1, 1)}, "gru": {"hidden": 4}}[encoder]
    return USDRL(create_encoder(encoder, layout="sbu15", **sizes), dim=6, hidden=6, **options)


def clips(persons: int = 1) -> torch.Tensor:
    return torch.randn(8, 3, 12, 15, persons, generator=torch.Generator().manual_seed(1))


def test_a_domain_left_out_has_no_projector_and_no_loss() -> None:
    method = made(time=0)
    out = method(clips())
    assert {key for key in out.logs if key.startswith("loss/")} == {"loss/instance", "loss/joints"}
    whole = made()(clips())
    parts = sum(whole.logs[f"loss/{domain}"] for domain in ("instance", "time", "joints"))
    assert float(whole.loss.detach()) == pytest.approx(float(parts), rel=1e-5)


def test_rows_are_clips_moments_and_joints() -> None:
    method = made()
    rows = method._rows(clips())
    features = method.encoder.forward_features(clips()).shape  # (N, M, F, T', V')
    assert {domain: len(r) for domain, r in rows.items()} == {
        "instance": 8,
        "time": 8 * features[3],
        "joints": 8 * features[4],
    }


def test_absent_persons_say_nothing() -> None:
    method = made().eval()
    alone, beside = clips(), torch.cat([clips(), torch.zeros_like(clips())], dim=4)
    for one, two in zip(method._rows(alone).values(), method._rows(beside).values(), strict=True):
        torch.testing.assert_close(one, two)


def test_an_encoder_without_frames_and_joints_is_refused_or_taken_whole() -> None:
    with pytest.raises(InputError, match="looks at single frames and joints, which the encoder gru"):
        made("gru")(clips())
    assert made("gru", time=0, joints=0)(clips()).loss.isfinite()


def test_wrong_options_are_one_message() -> None:
    with pytest.raises(InputError, match="weights of at least 0"):
        made(variance=-1)
    encoders = {s: create_encoder("stgcn", layout="sbu15", channels=2) for s in ("joint", "bone")}
    with pytest.raises(InputError, match="teaches one encoder"):
        USDRL(encoders)


def test_a_collapse_is_said() -> None:
    method = made()
    history = [{f"spread/{domain}": 0.01 for domain in ("instance", "time", "joints")}] * 5
    assert len(method.warnings(history)) == 3
    assert method.warnings(history[:4]) == []


def test_it_spreads_embeddings_and_brings_views_together() -> None:
    method, x = made(), clips()
    optimizer = torch.optim.Adam(method.parameters(), lr=0.02)
    losses = []
    for _ in range(30):
        both = torch.cat([x, x + 0.05 * torch.randn(x.shape)])
        out = method.step(StepInput(both, {}, torch.full((8,), -1), None, None))
        optimizer.zero_grad()
        out.loss.backward()
        optimizer.step()
        losses.append(float(out.loss.detach()))
    assert losses[-1] < 0.6 * losses[0]
