"""Task ``open_set``: the score of predict against the nearest neighbour, on classes that were left out."""

import io

import numpy as np
import pytest
from rich.console import Console

from kinelex.data import open_store
from kinelex.datasets import get_split
from kinelex.errors import InputError
from kinelex.evaluation import Context, evaluate
from kinelex.evaluation.protocols.open_set import OpenSet, OpenSetOptions
from kinelex.training.encoder_files import load_encoders
from kinelex.training.run_directory import RunDirectory
from kinelex.training.train import train


def context_of(run, store_path, protocol="xsub"):
    store = open_store(store_path)
    split = get_split(store, protocol)
    trained = {stream: encoder.for_store(store) for stream, encoder in load_encoders(run).items()}
    console = Console(file=io.StringIO())
    return Context(RunDirectory(run), trained, store, protocol, split.train, split.test, console=console)


def test_features_that_name_known_classes_tell_the_others(acted, monkeypatch):
    """Known classes have a direction of their own; clips of classes left out lie nearer to the origin.

    Directions of classes left out are no known clip's either: near clips tell it even better.
    """
    context = context_of(acted.run, acted.store)
    rng = np.random.default_rng(0)
    width = next(iter(context.encoders.values())).num_features
    centres = rng.normal(size=(24, width))
    unknown = {int(c) for c in range(24)}

    def features(self, stream, rows, *_):
        labels = context.store.labels[rows]
        near = np.where(np.isin(labels, list(unknown)), 0.2, 1.0)[:, None]
        return (
            centres[labels] * near + 0.05 * np.random.default_rng(1).normal(size=(len(rows), width))
        ).astype(np.float32)

    monkeypatch.setattr(Context, "features", features)
    from kinelex.data.splits.seen_classes import class_split

    unknown &= set(class_split("random:4:0", context.class_names).unseen)
    found = OpenSet().run(context, OpenSetOptions(split="random:4:0")).numbers
    assert found["known_by"] == "neighbour"
    assert found["auroc"] == found["auroc_neighbour"]
    assert found["auroc_score"]["mean"] > 0.9
    assert (found["draws"][0]["k"], found["kept"]) == (1, found["kept_neighbour"])  # 3 clips of a class
    assert found["top1_known"]["mean"] > 0.8
    assert [len(draw["unknown"]) for draw in found["draws"]] == [4]
    several = OpenSet().run(context, OpenSetOptions(unseen=3, draws=2)).numbers
    assert several["auroc"]["n"] == 2
    assert several["draws"][0]["unknown"] != several["draws"][1]["unknown"]


def test_a_run_that_learned_labels_is_judged_on_the_classes_it_left_out(acted, quick, tmp_path):
    changes = [change for change in quick if change[:3] not in ("dim", "hid")]
    run = tmp_path / "run"
    train("supervised", acted.store, "xsub:seen-random:3:0", run, overrides=changes)
    console = Console(file=io.StringIO())
    found = evaluate(run, tasks=["open_set"], baselines=False, console=console)["open_set"]
    assert found["by"] == "classify"
    assert len(found["draws"]) == 1
    assert 0 <= found["auroc"]["mean"] <= 1
    assert "AUROC" in console.file.getvalue()
    with pytest.raises(InputError, match="learned labels"):
        OpenSet().check(context_of(run, acted.store), OpenSetOptions(split="random:3:7"))


def test_wrong_options_are_told():
    with pytest.raises(InputError, match=r"open_set\.draws of at least 1"):
        OpenSetOptions(draws=0)
