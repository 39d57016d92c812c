"""Published checkpoints become runs; what is no such checkpoint is one clear message."""

import io
import json
import os
import pickle

import numpy as np
import pytest
import torch
from rich.console import Console

from kinelex import encoders, load_encoder
from kinelex.cli import main
from kinelex.errors import InputError
from kinelex.reports import evaluate
from kinelex.skeleton import make_stream
from kinelex.training.convert import convert
from kinelex.training.encoder_files import load_encoders
from kinelex.training.train import train

STREAMS = ("joint", "motion", "bone")


def published(width=150, hidden=4, layers=2, dim=3, queue=8) -> dict[str, torch.Tensor]:
    """A state dict with the published names, as DataParallel saves it."""
    torch.manual_seed(0)
    state = {}
    for suffix in ("", "_motion", "_bone"):
        for kind in ("q", "k"):
            prefix = f"module.encoder_{kind}{suffix}."
            gru = torch.nn.GRU(width, hidden, layers, bidirectional=True)
            state |= {f"{prefix}encoder.gru.{k}": v for k, v in gru.state_dict().items()}
            norm = torch.nn.BatchNorm1d(width)
            state |= {f"{prefix}input_norm.{k}": v for k, v in norm.state_dict().items()}
            state[f"{prefix}fc.0.weight"], state[f"{prefix}fc.0.bias"] = torch.eye(2 * hidden), torch.zeros(2)
            state[f"{prefix}fc.2.weight"], state[f"{prefix}fc.2.bias"] = torch.ones(dim, 2), torch.zeros(dim)
        state[f"module.queue{suffix}"] = torch.randn(dim, queue)
        state[f"module.queue_ptr{suffix}"] = torch.zeros(1, dtype=torch.long)
    return state


@pytest.fixture
def checkpoint(tmp_path):
    path = tmp_path / "checkpoint_0450.pth.tar"
    optimizer = {"state": {0: {"momentum_buffer": torch.zeros(2)}}, "param_groups": [{"lr": 0.01}]}
    torch.save({"epoch": 450, "state_dict": published(), "optimizer": optimizer}, path)
    return path


def test_a_checkpoint_becomes_a_run_that_evaluate_takes(checkpoint, small, tmp_path, capsys):
    out = tmp_path / "run"
    assert main(["convert", str(checkpoint), "--from", "cmd", "--out", str(out)]) == 0
    assert "streams joint, motion, bone; name gru, persons 2, hidden 4, layers 2" in capsys.readouterr().out
    loaded = load_encoders(out)
    assert tuple(loaded) == STREAMS
    config = loaded["joint"].pipeline.config
    assert (config.frames, config.test_crop, config.fill) == (64, 0.95, True)
    assert (config.centre, config.align) == ("frame", "body")
    with pytest.raises(InputError, match="pass --data STORE"):
        evaluate(out)
    quiet = Console(file=io.StringIO())
    result = evaluate(out, data=small[0], protocol="xsub", tasks=("knn",), console=quiet)
    assert set(result["knn"]["streams"]) == set(STREAMS)
    assert "No epoch is on record" in (out / "report.html").read_text()
    assert main(["info", str(out), "--json", str(tmp_path / "info.json")]) == 0
    assert json.loads((tmp_path / "info.json").read_text())["converted"]["epoch"] == 450
    with pytest.raises(InputError, match="converted from checkpoint_0450"):
        train("cmd", small[0], "xsub", out, resume=True)


def test_features_are_those_of_the_published_loop(checkpoint, tmp_path):
    """A bidirectional GRU that is fed one frame at a time and carries its state, as published."""
    run = convert(checkpoint, "cmd", tmp_path / "run")
    x = torch.randn(3, 3, 6, 25, 2, generator=torch.Generator().manual_seed(1))
    state = published()
    for stream, suffix in zip(STREAMS, ("", "_motion", "_bone"), strict=True):
        prefix = f"module.encoder_q{suffix}."
        own = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
        gru = torch.nn.GRU(150, 4, 2, bidirectional=True)
        gru.load_state_dict({k.split(".")[-1]: v for k, v in own.items() if "gru" in k})
        norm = torch.nn.BatchNorm1d(150).eval()
        norm.load_state_dict({k.split(".")[-1]: v for k, v in own.items() if "input_norm" in k})
        carried = None
        for t in range(6):
            frame = norm(x[:, :, t].permute(0, 2, 1, 3).flatten(1))  # (N, V·C·M)
            output, carried = gru(frame[None], carried)
        torch.testing.assert_close(load_encoder(run.path, stream)(x), output[0], atol=1e-6, rtol=1e-5)


def test_the_reference_step_through_a_file(shared, tmp_path):
    """Query encoders of the published step, converted: their similarities with the queues are its logits."""
    reference = np.load(shared / "reference" / "cmd_step.npz")
    names = [n for n in reference.files if n.startswith("before_state/")]
    state = {n.removeprefix("before_state/"): torch.from_numpy(reference[n]) for n in names}
    torch.save({"state_dict": {f"module.{k}": v for k, v in state.items()}}, tmp_path / "c.pth.tar")
    run = convert(tmp_path / "c.pth.tar", "cmd", tmp_path / "run")
    query = torch.from_numpy(reference["query"])
    for stream, suffix in zip(STREAMS, ("", "_motion", "_bone"), strict=True):
        encoder = load_encoder(run.path, stream).encoder.train()  # the reference step normalises by its batch
        features = encoder(make_stream(query, encoder.layout, stream))
        fc = {k: state[f"encoder_q{suffix}.fc.{k}"] for k in ("0.weight", "0.bias", "2.weight", "2.bias")}
        hidden = torch.relu(features @ fc["0.weight"].T + fc["0.bias"])
        embedding = torch.nn.functional.normalize(hidden @ fc["2.weight"].T + fc["2.bias"], dim=1)
        logits = embedding @ state[f"queue{suffix}"] / 0.07
        expected = torch.from_numpy(reference[f"logits_{stream}"][:, 1:])
        torch.testing.assert_close(logits, expected, atol=1e-5, rtol=0)


class Attack:
    def __init__(self, path) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_code_in_a_checkpoint_is_not_run(tmp_path):
    path, trace = tmp_path / "bad.pth.tar", tmp_path / "ran"
    torch.save({"state_dict": published(), "extra": Attack(trace)}, path)
    with pytest.raises(InputError, match="run code when they are read"):
        convert(path, "cmd", tmp_path / "run")
    path.write_bytes(pickle.dumps({"state_dict": Attack(trace)}))
    with pytest.raises(InputError, match="run code when they are read"):
        convert(path, "cmd", tmp_path / "run")
    assert not trace.exists()
    assert not (tmp_path / "run").exists()


def stgcn_state() -> dict[str, torch.Tensor]:
    return {f"encoder_q.{k}": v for k, v in encoders.create("stgcn", channels=2).state_dict().items()}


def torn(name="encoder_q_bone.encoder.gru.weight_hh_l1", shape=(3, 3)) -> dict[str, torch.Tensor]:
    state = published()
    state[f"module.{name}"] = torch.zeros(shape)
    return state


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1, 2], "holds a list"),
        ({"epoch": 3}, "no state_dict with weights, it has the keys epoch"),
        ({"state_dict": {"conv.weight": torch.zeros(2)}}, "has no encoder_q"),
        ({"state_dict": stgcn_state()}, "published CMD"),
        ({"state_dict": published(width=100)}, "choose the layout"),
        ({"state_dict": torn()}, "bone encoder's weights do not fit together"),
        ({"state_dict": torn("encoder_q.encoder.gru.weight_hh_l0", ())}, "has weight_hh_l0"),
        ({"state_dict": torn("encoder_q.encoder.gru.weight_hh_l0", (4,))}, "has weight_hh_l0"),
        ({"state_dict": torn("encoder_q.input_norm.weight", ())}, "has weight_ih_l0"),
    ],
)
def test_other_checkpoints_are_refused(content, message, tmp_path):
    torch.save(content, tmp_path / "c.pth.tar")
    with pytest.raises(InputError, match=message):
        convert(tmp_path / "c.pth.tar", "cmd", tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("damage", [b"", b"no checkpoint", b"\x80\x02}q\x00.", b"PK\x03\x04 torn"])
def test_other_files_are_refused(damage, tmp_path):
    (tmp_path / "c.pth.tar").write_bytes(damage)
    with pytest.raises(InputError):
        convert(tmp_path / "c.pth.tar", "cmd", tmp_path / "run")


def test_wrong_arguments_of_the_verb(checkpoint, tmp_path, capsys):
    for arguments, message in (
        (["nowhere.pth.tar", "--from", "cmd", "--out", str(tmp_path / "r")], "is no file"),
        ([str(checkpoint), "--out", str(tmp_path / "r")], "--from"),
        ([str(checkpoint), "--from", "cdm", "--out", str(tmp_path / "r")], "did you mean 'cmd'"),
        ([str(checkpoint), "--from", "cmd", "--out", str(tmp_path)], "pass another --out"),
        ([str(checkpoint), "--from", "cmd", "--out", str(tmp_path / "r"), "--layout", "ntu52"], "ntu25"),
    ):
        assert main(["convert", *arguments]) == 2
        assert message in capsys.readouterr().err
