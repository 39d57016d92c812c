"""Few labels by probes on frozen features, by a loop; what makes no sense is refused."""

import io
import shutil

import numpy as np
import pytest
from rich.console import Console

from kinelex.data import open_store
from kinelex.data.labelled_clips import subject_groups
from kinelex.datasets import get_split
from kinelex.errors import InputError
from kinelex.evaluation.context import Context
from kinelex.evaluation.protocols.semi import Semi, SemiOptions
from kinelex.inference.linear_probe import linear_probe
from kinelex.training.encoder_files import load_encoders
from kinelex.training.run_directory import RunDirectory


@pytest.fixture
def actors(acted, tmp_path) -> Context:
    """The first training without labels, in a folder of its own."""
    shutil.copytree(acted.run, tmp_path / "run", ignore=shutil.ignore_patterns("evaluation"))
    store, run = open_store(acted.store), RunDirectory(tmp_path / "run")
    split, console = get_split(store, "xsub"), Console(file=io.StringIO())
    return Context(run, load_encoders(run.path), store, "xsub", split.train, split.test, console=console)


def test_few_labels_by_probes_are_those_of_a_loop(actors):
    options = SemiOptions((0.1, 0.3), ("random", "balanced"), draws=2, by="linear")
    result = Semi().run(actors, options)
    store = actors.store
    for kind in options.kinds:
        for ratio in options.ratios:
            rates = []
            for draw in range(2):
                rows = get_split(store, f"xsub:few-{kind}:{ratio}:{draw}").train
                features, groups = actors.features("joint", rows), subject_groups(store, rows)
                probe = linear_probe(features, store.labels[rows], 24, groups)
                scores = probe.scores(actors.features("joint", actors.test))
                rates.append((scores.argmax(axis=1) == actors.truth).mean())
                assert len(rows) == result.numbers[kind][f"{100 * ratio:g}%"]["labels"][draw]
            found = result.numbers[kind][f"{100 * ratio:g}%"]
            assert found["draws"] == pytest.approx(rates)
            assert (found["mean"], found["sd"]) == pytest.approx((np.mean(rates), np.std(rates, ddof=1)))
        assert result.curves[kind]["x"] == [10, 30]
        assert result.curves[kind]["y"] == [result.numbers[kind][r]["mean"] for r in ("10%", "30%")]


def test_few_labels_of_one_class_say_that_class(actors):
    result = Semi().run(actors, SemiOptions((0.001,), ("random",), draws=1, by="linear", scratch=True))
    (row,) = get_split(actors.store, "xsub:few-random:0.001:0").train
    rate = (actors.truth == actors.store.labels[row]).mean()
    assert result.numbers["random"]["0.1%"]["draws"] == [rate]
    assert result.numbers["scratch"]["random"]["0.1%"]["draws"] == [rate]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"ratios": (0.0,)}, "above 0 and up to 1, got 0"),
        ({"kinds": ("stratified",)}, "kind of few labels"),
        ({"by": "knn"}, "way to learn from few labels"),
        ({"draws": 0}, "one draw or more"),
        ({"by": "linear", "changes": ("epochs=2",)}, r"semi\.changes"),
    ],
)
def test_few_labels_that_make_no_sense_are_refused(given, said):
    with pytest.raises(InputError, match=said):
        SemiOptions(**given)
