"""Published CTR-GCN and MMCL checkpoints become runs that classify."""

import io
import json
import os

import numpy as np
import pytest
import torch
from rich.console import Console

from kinelex import encoders, load_encoder, open_store
from kinelex.cli import main
from kinelex.datasets import get_split
from kinelex.datasets.synthetic import write_actors
from kinelex.encoders.published.ctrgcn import published_to_encoder
from kinelex.errors import InputError
from kinelex.evaluation import evaluate
from kinelex.inference.features import extract_features
from kinelex.training.convert import convert


def norm(name, width):
    made = {kind: torch.rand(width) + 0.5 for kind in ("weight", "bias", "running_var")}
    made |= {"running_mean": torch.randn(width), "num_batches_tracked": torch.tensor(3)}
    return {f"{name}.{kind}": value for kind, value in made.items()}


def conv(name, width, outputs, *kernel):
    scale = 0.3 * (width * np.prod(kernel or (1,))) ** -0.5
    return {
        f"{name}.weight": scale * torch.randn(outputs, width, *kernel),
        f"{name}.bias": torch.randn(outputs),
    }


def published(joints=25, persons=2, classes=24, widths=(64, 128, 256)) -> dict[str, torch.Tensor]:
    """A state dict with the names of the published network, of three blocks instead of ten."""
    torch.manual_seed(0)
    state, width = norm("data_bn", persons * joints * 3), 3
    for i, out in enumerate(widths):
        gcn, tcn, part = f"l{i + 1}.gcn1", f"l{i + 1}.tcn1.branches", out // 4
        state |= {f"{gcn}.PA": torch.rand(3, joints, joints) / joints, f"{gcn}.alpha": torch.rand(1)}
        for k in range(3):
            for number, (a, b) in enumerate(((width, 8), (width, 8), (width, out), (8, out)), 1):
                if number < 3 and i:
                    b = width // 8
                a = width // 8 if number == 4 and i else a
                state |= conv(f"{gcn}.convs.{k}.conv{number}", a, b, 1, 1)
        state |= {
            **norm(f"{gcn}.bn", out),
            **conv(f"{gcn}.down.0", width, out, 1, 1),
            **norm(f"{gcn}.down.1", out),
        }
        for b in range(4):
            state |= {**conv(f"{tcn}.{b}.0", out, part, 1, 1), **norm(f"{tcn}.{b}.1", part)}
            if b < 2:
                state |= {**conv(f"{tcn}.{b}.3.conv", part, part, 5, 1), **norm(f"{tcn}.{b}.3.bn", part)}
        state |= norm(f"{tcn}.2.4", part)
        if i:
            state |= {
                **conv(f"l{i + 1}.residual.conv", width, out, 1, 1),
                **norm(f"l{i + 1}.residual.bn", out),
            }
        width = out
    return state | conv("fc", width, classes)


def with_mmcl_parts(state):
    """What MMCL's checkpoints hold beside the classifier."""
    more = {
        "PosMatrix": torch.ones(120),
        "NegMatrix": torch.ones(120),
        **conv("mlp.0", 3, 64),
        **conv("mlp.2", 64, 2),
    }
    more |= {**conv("FAM_Aligh.mlp.0", 1000, 256), **norm("inception_v3.Conv2d_1a_3x3.bn", 32)}
    return state | more


def test_a_checkpoint_becomes_a_run_that_classifies(tmp_path, capsys):
    state = with_mmcl_parts(published())
    torch.save({f"module.{k}": v for k, v in state.items()}, tmp_path / "runs-65-40690.pt")
    write_actors(tmp_path / "store.arrow", clips=24, seed=0)
    out, store = tmp_path / "run", open_store(tmp_path / "store.arrow")
    arguments = [str(tmp_path / "runs-65-40690.pt"), "--from", "mmcl", "--classes", str(store.path)]
    assert main(["convert", *arguments, "--out", str(out)]) == 0
    assert "streams joint; name ctrgcn" in capsys.readouterr().out
    loaded = load_encoder(out)
    ours, last = published_to_encoder(published())
    assert all(torch.equal(v, ours[k]) for k, v in loaded.encoder.state_dict().items())
    assert torch.equal(loaded.classifier.weight, last["weight"])
    assert loaded.class_names == store.class_names
    config = loaded.pipeline.config
    assert (config.frames, config.sampling, config.test_crop, config.centre) == (64, "crop", 0.95, "first")
    result = evaluate(out, store.path, "xsub", baselines=False, console=Console(file=io.StringIO()))
    test = get_split(store, "xsub").test
    scores = extract_features(loaded, store, test) @ last["weight"].numpy().T + last["bias"].numpy()
    assert result["classify"]["top1"] == pytest.approx((scores.argmax(axis=1) == store.labels[test]).mean())


def test_names_of_classes_and_the_stream(tmp_path):
    path = tmp_path / "c.pt"
    torch.save(published(joints=20, persons=1, classes=3), path)
    run = convert(path, "ctrgcn", tmp_path / "numbered", "kinect20")
    loaded = load_encoder(run.path)
    assert loaded.class_names == ("1", "2", "3")
    assert (loaded.pipeline.config.frames, loaded.pipeline.config.sampling) == (52, "random")
    assert loaded.pipeline.config.scale == "clip"
    (tmp_path / "names.txt").write_text("pick up\n  throw \n\ncarry\n", encoding="utf-8-sig")
    run = convert(path, "ctrgcn", tmp_path / "bone", "kinect20", tmp_path / "names.txt", "bone")
    loaded = load_encoder(run.path)
    assert loaded.class_names == ("pick up", "throw", "carry")
    assert loaded.pipeline.config.stream == "bone"
    assert json.loads((run.path / "encoder.json").read_text())["streams"] == ["bone"]
    assert run.config["input"]["stream"] == "bone"


def test_the_reference_network_through_a_file(shared, tmp_path):
    with np.load(shared / "reference" / "ctrgcn.npz") as z:
        state = {n.removeprefix("state/"): torch.from_numpy(z[n]) for n in z.files if n.startswith("state/")}
        x, expected = torch.from_numpy(z["x"]), torch.from_numpy(z["logits"])
    torch.save(state, tmp_path / "c.pt")
    loaded = load_encoder(convert(tmp_path / "c.pt", "ctrgcn", tmp_path / "run", "kinect20").path)
    with torch.no_grad():
        logits = loaded.classifier(loaded(x))
    assert (logits - expected).norm() < 5e-3 * expected.norm()  # as tests/encoders/test_ctrgcn.py explains


class Attack:
    def __init__(self, path) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def without(*names):
    return {k: v for k, v in published().items() if not k.startswith(names)}


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        (without("fc"), {}, "has no fc.weight"),
        (without("l2.gcn1.PA"), {}, "has no l2.gcn1.PA"),
        (without("data_bn"), {}, "has no data_bn.weight"),
        (published(joints=20), {}, "reads 20 joints, the layout has 25"),
        ({**published(), **conv("fc", 100, 24)}, {}, r"256 features, fc.weight has the shape \(24, 100\)"),
        ({**published(), "fc.weight": torch.zeros(10)}, {}, r"fc.weight has the shape \(10,\)"),
        (
            {**published(), "fc.bias": torch.full((10,), torch.nan)},
            {},
            "fc.bias has values that are no finite",
        ),
        ({**published(), "l1.gcn1.bn.weight": torch.zeros(3)}, {}, "l1|width|fit"),
        (published(), {"stream": "bonne"}, "did you mean 'bone'"),
        (published(), {"classes": "few.txt"}, "tells 24 classes apart, .*few.txt has 2 different names in 3"),
        (published(), {"classes": "nowhere.txt"}, "cannot be read: expects a text file"),
        (encoders.create("stgcn", channels=2).state_dict(), {}, "data_bn|has no l1"),
    ],
)
def test_other_checkpoints_are_refused(content, options, message, tmp_path):
    (tmp_path / "few.txt").write_text("a\nb\na\n")
    torch.save(content, tmp_path / "c.pt")
    if "classes" in options:
        options = {"classes": tmp_path / options["classes"]}
    with pytest.raises(InputError, match=message):
        convert(tmp_path / "c.pt", "ctrgcn", tmp_path / "run", **options)
    assert not (tmp_path / "run").exists()


def test_code_in_a_checkpoint_is_not_run(tmp_path):
    torch.save({**published(), "extra": Attack(tmp_path / "ran")}, tmp_path / "c.pt")
    with pytest.raises(InputError, match="run code when they are read"):
        convert(tmp_path / "c.pt", "mmcl", tmp_path / "run")
    assert not (tmp_path / "ran").exists()


def test_options_that_cmd_does_not_have(tmp_path, capsys):
    for option in (["--classes", "names.txt"], ["--stream", "bone"]):
        assert main(["convert", "c.tar", "--from", "cmd", "--out", str(tmp_path / "r"), *option]) == 2
        assert "leave out classes and stream" in capsys.readouterr().err
