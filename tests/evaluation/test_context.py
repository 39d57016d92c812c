"""What tasks get: features computed once, changed clips, and results that are read the second time."""

import io
import sys
from dataclasses import dataclass, replace
from types import ModuleType

import numpy as np
import pytest
from rich.console import Console

from kinelex.datasets import get_split
from kinelex.errors import InputError
from kinelex.evaluation import context as context_module
from kinelex.evaluation import evaluate
from kinelex.evaluation.context import Context, TaskResult
from kinelex.evaluation.protocols.registry import TASKS
from kinelex.inference.features import extract_features
from kinelex.training.encoder_files import load_encoders
from kinelex.transforms import InputPipeline


@pytest.fixture
def context(run, store) -> Context:
    split = get_split(store, "xsub")
    return Context(run, load_encoders(run.path), store, "xsub", split.train, split.test, console=quiet())


def quiet() -> Console:
    return Console(file=io.StringIO(), width=120)


@pytest.fixture
def extracted(monkeypatch) -> list[int]:
    """How many clips each pass through the encoders had."""
    passes: list[int] = []
    extract = context_module.extract_all

    def counting(encoders, store, rows, *args, progress, **options):
        told = []
        found = extract(encoders, store, rows, *args, progress=lambda *at: told.append(at), **options)
        assert told[-1] == (len(rows), len(rows))
        passes.append(len(rows))
        return found

    monkeypatch.setattr(context_module, "extract_all", counting)
    return passes


def test_features_are_computed_once_in_the_order_asked_for(context, store, extracted):
    rows = np.array([30, 2, 17])
    found = context.features("joint", rows)
    np.testing.assert_allclose(
        found, extract_features(context.encoders["joint"], store, rows), rtol=1e-4, atol=1e-5
    )
    again = replace(context).features("joint", np.array([17, 30, 5]))  # another process: only clip 5 is new
    np.testing.assert_array_equal(again[:2], found[[2, 0]])
    assert extracted == [3, 1]
    fresh = replace(context, fresh=True)
    fresh.features("joint", rows)
    fresh.features("joint", rows)
    assert extracted == [3, 1, 3]


def test_other_weights_other_preparation_and_other_clips_have_other_features(context, store, extracted):
    rows = np.arange(4)
    context.features("joint", rows)
    other = replace(context, encoders=load_encoders(context.run.path, untrained_seed=3))
    other.features("joint", rows)
    encoder = load_encoders(context.run.path)["joint"]
    encoder.pipeline.config = replace(encoder.pipeline.config, centre="mean")
    replace(context, encoders={"joint": encoder}).features("joint", rows)
    assert extracted == [4, 4, 4]


def test_a_damaged_cache_file_is_made_anew(context, extracted):
    first = context.features("joint", np.arange(4))
    (file,) = context.cache.folders[-1].glob("features-*")
    file.write_bytes(file.read_bytes()[:-40])
    np.testing.assert_array_equal(replace(context).features("joint", np.arange(4)), first)
    assert extracted == [4, 4]


def test_changed_clips_have_their_own_features_drawn_by_the_seed(context, extracted):
    def shake(batch, generator):
        noise = np.random.default_rng(generator.initial_seed()).normal(size=batch.frames.shape)
        return replace(batch, frames=batch.frames + batch.frames.new_tensor(noise))

    rows = np.arange(6)
    plain = context.features("joint", rows)
    shaken = context.features("joint", rows, "shake", shake)
    assert not np.allclose(shaken, plain, atol=1e-3)
    np.testing.assert_array_equal(context.features("joint", rows, "shake", shake), shaken)
    assert extracted == [6, 6]
    np.testing.assert_array_equal(
        replace(context, fresh=True).features("joint", rows, "shake", shake), shaken
    )
    assert not np.allclose(replace(context, seed=1).features("joint", rows, "shake", shake), shaken)
    np.testing.assert_array_equal(context.features("joint", rows), plain)
    few = replace(context, fresh=True).features("joint", rows[[4, 1]], "shake", shake)
    np.testing.assert_allclose(few, shaken[[4, 1]], rtol=1e-5, atol=1e-6)  # whatever is drawn beside them
    with pytest.raises(ValueError, match="name of a variant"):
        context.features("joint", rows, change=shake)


def test_crops_are_drawn_for_each_clip_on_its_own(context, extracted):
    """Whatever is asked for beside it, and before; the features of test time stay what they are."""
    encoder, rows = context.encoders["joint"], np.arange(6)
    config = replace(encoder.pipeline.config, crop_minimum=4)  # clips are shorter than 64 frames
    encoder.pipeline = InputPipeline(encoder.layout, config)
    plain, first, second = (
        context.features("joint", rows),
        context.crops("joint", rows, 0),
        context.crops("joint", rows, 1),
    )
    for other in (first, second):
        assert (np.abs(other - plain).max(axis=1) > 1e-3).sum() >= 5
    assert np.abs(first - second).max() > 1e-3
    np.testing.assert_array_equal(context.crops("joint", rows, 0), first)
    assert extracted == [6, 6, 6]
    fresh = replace(context, fresh=True)
    few = fresh.crops("joint", rows[[4, 1]], 0)
    np.testing.assert_allclose(few, first[[4, 1]], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(fresh.crops("joint", rows, 0), first, rtol=1e-5, atol=1e-6)
    assert np.abs(replace(context, seed=1).crops("joint", rows, 0) - first).max() > 1e-3
    np.testing.assert_array_equal(context.features("joint", rows), plain)
    parts = context.probe_data(rows, crops=2)["joint"]
    np.testing.assert_array_equal(np.stack(list(parts.crops)), np.stack([first, second]))
    assert len(context.probe_data(rows)["joint"].crops) == 0


@dataclass(frozen=True)
class _CountOptions:
    """Options.

    Args:
        add: what to add.
    """

    add: int = 0


class CountTask:
    name, title, Options = "count", "clips", _CountOptions
    runs = 0

    def run(self, context: Context, options: _CountOptions) -> TaskResult:
        CountTask.runs += 1
        curve = {"x": (0, 1), "y": [0, options.add], "label": "clips"}
        return TaskResult({"clips": len(context.test) + options.add, "rule": "Counts."}, curves={"it": curve})


def test_a_task_is_read_from_the_cache_until_something_changes(run, monkeypatch):
    monkeypatch.setitem(TASKS, "count", f"{__name__}:CountTask")
    monkeypatch.setattr(CountTask, "runs", 0)

    def judged(**more):
        console = quiet()
        found = evaluate(run.path, tasks=("count",), baselines=False, console=console, **more)
        return found["count"], "count: cached" in console.file.getvalue()

    first, cached = judged()
    assert first == {
        "title": "clips",
        "clips": 24,
        "rule": "Counts.",
        "curves": {"it": {"x": [0, 1], "y": [0, 0], "label": "clips"}},
    }
    assert not cached
    assert judged() == (first, True)
    assert judged(options={"count": {"add": "2"}})[0]["clips"] == 26
    assert CountTask.runs == 2
    assert not judged(fresh=True)[1]
    assert not judged(seed=1)[1]
    assert judged(protocol="xsub:fold1of2")[0]["clips"] == 12
    (run.path / "config.yaml").write_text((run.path / "config.yaml").read_text() + "\nnote: x\n")
    assert not judged()[1]
    with pytest.raises(InputError, match="did you mean 'add'"):
        judged(options={"count": {"ad": 2}})
    with pytest.raises(InputError, match="count.add expects int, got 'two'"):
        judged(options={"count": {"add": "two"}})
    with pytest.raises(InputError, match="options of knn are given"):
        judged(options={"knn": {"k": 2}})


def test_a_task_typed_into_a_console_can_be_judged(run, monkeypatch):
    console = ModuleType("typed")  # has no file
    exec("class Typed(Base): name = 'typed'", {"__name__": "typed", "Base": CountTask}, vars(console))
    monkeypatch.setitem(sys.modules, "typed", console)
    monkeypatch.setitem(TASKS, "typed", "typed:Typed")
    assert evaluate(run.path, tasks=("typed",), baselines=False, console=quiet())["typed"]["clips"] == 24


def test_a_second_evaluation_passes_no_clip_through_an_encoder(run, extracted):
    first = evaluate(run.path, tasks=("knn", "linear"), seed=1, console=quiet())
    assert extracted == [48, 48]  # the run's encoder and the untrained one
    assert evaluate(run.path, tasks=("knn", "linear"), seed=1, console=quiet()) == first
    assert extracted == [48, 48]
