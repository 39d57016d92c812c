"""The order of two ``evaluate`` calls changes no stored score: the cache depends on clip and run alone."""

import json
import shutil

import numpy as np
import pytest
from rich.console import Console

from kinelex.data import Sequence, SkeletonStore, SkeletonStoreWriter, StoreMeta, open_store
from kinelex.evaluation import evaluate, load_scores
from kinelex.evaluation.scores import score_path
from kinelex.skeleton import get_layout


@pytest.fixture
def pairs(tmp_path) -> SkeletonStore:
    """Clips of one person, and of two in every fourth."""
    rng = np.random.default_rng(0)
    body = rng.normal(size=(1, 1, 20, 3))
    with SkeletonStoreWriter(
        tmp_path / "pairs.arrow", StoreMeta("x", get_layout("kinect20"), ("a", "b"))
    ) as writer:
        for i in range(12):
            clip = body + 0.3 * (1 + i % 2) * rng.normal(size=(6, 2 if i % 4 == 3 else 1, 20, 3))
            writer.add(Sequence(f"c{i}", clip, i % 2))
    return open_store(tmp_path / "pairs.arrow")


def test_scores_are_the_same_whatever_was_evaluated_before(run, pairs, tmp_path):
    train = [f"c{i}" for i in (0, 1, 2, 4)]
    parts = {"one": ["c5", "c6", "c8"], "mixed": ["c5", "c6", "c7", "c8", "c11"]}
    protocols = {}
    for name, test in parts.items():
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps({"train": train, "test": test}))
        protocols[name] = f"file:{path}"
    tasks = ("knn", "linear", "robustness")
    changes = {"joints": (), "parts": (), "frames": (0.5,), "rate": (), "rotation": (), "noise": (0.1,)}
    found = []
    for order in (("one", "mixed"), ("mixed", "one"), ("mixed",)):
        shutil.rmtree(run.path / "evaluation", ignore_errors=True)
        for name in order:
            result = evaluate(
                run.path,
                pairs.path,
                protocol=protocols[name],
                tasks=tasks,
                options={"robustness": changes},
                baselines=False,
                console=Console(quiet=True),
            )
            if name == "mixed":
                scores = [load_scores(score_path(run.path, protocols[name], t)) for t in tasks[:2]]
                found.append((scores, result["robustness"]["curves"]))
    for scores, curves in found[1:]:
        for one, other in zip(scores, found[0][0], strict=True):
            assert one.ids == other.ids
            np.testing.assert_allclose(one.logits, other.logits, rtol=1e-4, atol=1e-4)
        assert curves == found[0][1]
