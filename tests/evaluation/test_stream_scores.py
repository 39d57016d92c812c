"""Runs with an encoder per stream: each alone, fused, in JSON, table and report."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console

from kinelex import encoders, load_encoder
from kinelex.data.labelled_clips import subject_groups
from kinelex.data.loader import SkeletonLoader
from kinelex.datasets import get_split
from kinelex.errors import InputError
from kinelex.evaluation.context import Context
from kinelex.evaluation.protocols.linear import LinearOptions
from kinelex.evaluation.protocols.linear_sgd import LinearSGDOptions, linear_sgd_layers
from kinelex.evaluation.protocols.semi import SemiOptions
from kinelex.evaluation.scores import load_scores, score_path
from kinelex.inference.features import extract_features
from kinelex.inference.fusion import fuse, joined, softmax
from kinelex.inference.linear_probe import linear_probe
from kinelex.inference.neighbours import knn
from kinelex.reports import evaluate
from kinelex.skeleton import make_stream
from kinelex.training.encoder_files import load_encoders, save_encoders
from kinelex.training.run_directory import RunDirectory
from kinelex.transforms import InputConfig, InputPipeline

STREAMS = ("joint", "motion", "bone")


@pytest.fixture
def three(store, tmp_path) -> RunDirectory:
    """A run with three random encoders."""
    options = {"name": "stgcn", "channels": 4, "depth": [1, 1, 1]}
    config = {
        "recipe": "cmd",
        "data": str(store.path),
        "protocol": "xsub",
        "prompts": None,
        "method": {"name": "cmd"},
        "encoder": options,
        "input": {},
    }
    run = RunDirectory.create(tmp_path / "three", config)
    torch.manual_seed(0)
    made = {s: encoders.create("stgcn", layout=store.layout, channels=4, depth=(1, 1, 1)) for s in STREAMS}
    save_encoders(
        run.path, made, options, InputPipeline(store.layout, InputConfig(frames=16, crop_minimum=4))
    )
    names = ["loss", *(f"loss/{s}" for s in STREAMS), *(f"accuracy/{s}" for s in STREAMS)]
    names += [f"distillation/{a}_{b}" for a in STREAMS for b in STREAMS if a != b]
    names += [f"teacher_entropy/{s}" for s in STREAMS]
    rows = [",".join(["epoch", *names])]
    rows += [",".join([str(e), *(f"{1 / (e + i + 1):.3f}" for i in range(len(names)))]) for e in range(3)]
    (run.path / "metrics.csv").write_text("\n".join(rows) + "\n")
    return run


def quiet() -> Console:
    return Console(file=io.StringIO(), width=120)


def test_every_stream_has_its_encoder_and_its_input(three, store):
    loaded = load_encoders(three.path)
    assert tuple(loaded) == STREAMS
    batch = SkeletonLoader(store, np.arange(4), 4).batch(np.arange(4))
    joints = loaded["joint"].pipeline(batch)
    for stream, encoder in loaded.items():
        assert torch.equal(encoder.pipeline(batch), make_stream(joints, store.layout, stream))
        one = load_encoder(three.path, stream)
        assert torch.equal(one(joints), encoder(joints))
    assert torch.equal(load_encoder(three.path)(joints), loaded["joint"](joints))  # the first by default
    assert not torch.equal(loaded["joint"](joints), loaded["bone"](joints))
    fresh = load_encoders(three.path, untrained_seed=0)
    assert not torch.equal(fresh["joint"](joints), fresh["bone"](joints))
    with pytest.raises(InputError, match="did you mean 'bone'"):
        load_encoder(three.path, "bones")


def test_streams_alone_and_fused_against_a_loop(three, store):
    result = evaluate(three.path, tasks=("knn", "linear"), console=quiet())
    split = get_split(store, "xsub")
    labels, truth = store.labels[split.train], store.labels[split.test]
    votes = []
    for stream in STREAMS:
        encoder = load_encoder(three.path, stream)
        train, test = (extract_features(encoder, store, rows) for rows in (split.train, split.test))
        votes.append(knn(train, labels, test, 3).scores)
        rate = (votes[-1].argmax(axis=1) == truth).mean()
        assert result["knn"]["streams"][stream]["top1"] == pytest.approx(rate)
    right = 0
    for i, label in enumerate(truth):
        total = [sum(v[i, c] for v in votes) for c in range(3)]
        right += int(np.argmax(total)) == label
    assert result["knn"]["top1"] == pytest.approx(right / len(truth))
    assert result["knn"]["fused"] == "mean of the streams' votes"
    assert result["linear"]["fused"] == "mean of the streams' softmax scores"
    assert set(result["linear"]["streams"]) == set(STREAMS)
    assert result["linear"]["streams"]["bone"]["regularisation"] > 0
    assert set(result["baseline_details"]["untrained_knn"]["streams"]) == set(STREAMS)
    written = json.loads((three.path / "evaluation" / "knn.json").read_text())
    assert written["streams"] == result["knn"]["streams"]


def test_softmax_scores_are_averaged_by_a_loop():
    rng = np.random.default_rng(0)
    scores = [rng.normal(size=(5, 4)) * 3 for _ in range(3)]
    scores[1][:, 2] = -np.inf  # a class that this stream has never seen
    expected = np.zeros((5, 4))
    for n in range(5):
        for one in scores:
            total = sum(np.exp(one[n, c]) for c in range(4))
            for c in range(4):
                expected[n, c] += np.exp(one[n, c]) / total / 3
    np.testing.assert_allclose(fuse("linear", scores), expected)
    np.testing.assert_allclose(fuse("knn", [np.eye(4)] * 3), np.eye(4))


def test_the_cosine_of_joined_features_is_the_mean_of_the_streams():
    rng = np.random.default_rng(0)
    parts = [rng.normal(size=(2, width)) for width in (3, 5)]
    one, two = joined(parts)
    cosines = [a @ b / np.linalg.norm(a) / np.linalg.norm(b) for a, b in parts]
    assert one @ two / np.linalg.norm(one) / np.linalg.norm(two) == pytest.approx(np.mean(cosines))
    assert joined(parts[:1]) is parts[0]


def test_table_and_report_show_all(three):
    console = quiet()
    evaluate(three.path, console=console)
    text, page = console.file.getvalue(), Path(three.path / "report.html").read_text()
    for shown in (text, page):
        for words in ("all streams", "features, joint", "features, motion", "probe, bone"):
            assert words in shown


def test_linear_sgd_together_is_the_mean_of_the_logits(three, store):
    options = {"linear_sgd": {"together": True}}
    found = evaluate(three.path, tasks=("linear_sgd",), options=options, baselines=False, console=quiet())
    found = found["linear_sgd"]
    split, loaded = get_split(store, "xsub"), load_encoders(three.path)
    train, test = (
        [extract_features(encoder, store, rows) for encoder in loaded.values()]
        for rows in (split.train, split.test)
    )
    layers = linear_sgd_layers(train, store.labels[split.train], 3)
    logits = np.mean(
        [layer(torch.as_tensor(x)).numpy() for layer, x in zip(layers, test, strict=True)], axis=0
    )
    assert found["top1"] == (logits.argmax(axis=1) == store.labels[split.test]).mean()
    assert "trained together" in found["fused"]
    kept = load_scores(score_path(three.path, "xsub", "linear_sgd"))
    np.testing.assert_allclose(kept.probabilities(), softmax(logits), atol=1e-5)
    apart = evaluate(three.path, tasks=("linear_sgd",), baselines=False, console=quiet())["linear_sgd"]
    assert apart["fused"] == "mean of the streams' softmax scores"


def test_linear_together_is_one_regression_on_features_side_by_side(three, store):
    options = {
        "linear": {"together": True},
        "semi": {"by": "linear", "together": True, "ratios": (0.5,), "draws": 1},
    }
    found = evaluate(three.path, tasks=("linear", "semi"), options=options, console=quiet())
    split, loaded = get_split(store, "xsub"), load_encoders(three.path)

    def unit(rows):
        features = [extract_features(encoder, store, rows) for encoder in loaded.values()]
        return np.concatenate([x / np.linalg.norm(x, axis=1, keepdims=True) for x in features], axis=1)

    def right(rows):
        probe = linear_probe(unit(rows), store.labels[rows], 3, subject_groups(store, rows))
        return (probe.scores(unit(split.test)).argmax(axis=1) == store.labels[split.test]).mean()

    assert found["linear"]["top1"] == right(split.train)
    assert "side by side" in found["linear"]["fused"]
    assert set(found["linear"]["streams"]) == {"joint", "motion", "bone"}
    assert "side by side" in found["baseline_details"]["untrained_linear"]["fused"]
    few = get_split(store, "xsub:few-random:0.5:0").train
    assert found["semi"]["random"]["50%"]["draws"] == [right(few)]
    apart = evaluate(three.path, tasks=("linear",), console=quiet())
    assert apart["baseline_details"]["untrained_linear"]["fused"] == apart["linear"]["fused"]
    assert apart["linear"]["fused"] == "mean of the streams' softmax scores"


def test_crops_are_learned_by_the_tasks_that_are_asked_to(three, store):
    """Their numbers are those of a loop over the context's features, each stream alone and together."""
    split = get_split(store, "xsub")
    context = Context(
        three, load_encoders(three.path), store, "xsub", split.train, split.test, console=quiet()
    )
    truth, fit = store.labels[split.test], (store.labels[split.train], 3)
    groups = subject_groups(store, split.train)

    def part(stream):
        crops = np.stack([context.crops(stream, split.train, number) for number in range(2)])
        return context.features(stream, split.train), context.features(stream, split.test), crops

    def judged(tasks, **options):
        return evaluate(three.path, tasks=tasks, options=options, baselines=False, console=quiet())

    found = judged(("linear", "linear_sgd"), linear={"crops": 2}, linear_sgd={"crops": 2})
    for stream in context.encoders:
        train, test, crops = part(stream)
        assert np.abs(crops - train).max(axis=2).min() > 1e-6  # no clip is taken whole
        probe = linear_probe(train, *fit, groups, crops=crops).scores(test)
        layer = linear_sgd_layers([train], *fit, crops=[crops])[0](torch.as_tensor(test)).numpy()
        for task, scores in (("linear", probe), ("linear_sgd", layer)):
            assert found[task]["streams"][stream]["top1"] == (scores.argmax(axis=1) == truth).mean()
            assert "2 random choices of its frames" in found[task]["rule"]
    assert "beside the one of test time" in found["linear"]["rule"]
    assert "instead of the one of test time" in found["linear_sgd"]["rule"]
    both = {"together": True, "crops": 2}
    found = judged(("linear", "linear_sgd"), linear=both, linear_sgd=both)
    train, test, crops = zip(*map(part, context.encoders), strict=True)
    whole = np.stack([joined(list(views)) for views in zip(*crops, strict=True)])
    probe = linear_probe(joined(list(train)), *fit, groups, crops=whole)
    assert found["linear"]["top1"] == (probe.scores(joined(list(test))).argmax(axis=1) == truth).mean()
    layers = linear_sgd_layers(train, *fit, crops=crops)
    logits = sum(layer(torch.as_tensor(x)).numpy() for layer, x in zip(layers, test, strict=True))
    assert found["linear_sgd"]["top1"] == (logits.argmax(axis=1) == truth).mean()


def test_what_is_asked_of_linear_and_semi_in_vain():
    with pytest.raises(InputError, match="semi.together is of semi.by=linear, not of full"):
        SemiOptions(together=True)
    for options in (LinearOptions, LinearSGDOptions):
        with pytest.raises(InputError, match="expects crops of at least 0.*, got -1"):
            options(crops=-1)
    with pytest.raises(InputError, match="so many epochs, at most 80, got 81"):
        LinearSGDOptions(crops=81)
