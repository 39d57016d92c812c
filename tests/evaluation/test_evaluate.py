"""The whole evaluation of a small run: its JSON, its table, and what it refuses."""

import csv
import io
import json

import numpy as np
import pytest
from rich.console import Console

from kinelex.data import Sequence, SkeletonStoreWriter, StoreMeta
from kinelex.datasets import get_split
from kinelex.errors import InputError
from kinelex.evaluation import evaluate as numbers_alone
from kinelex.inference.features import extract_features
from kinelex.reports import evaluate
from kinelex.skeleton import get_layout
from kinelex.training.encoder_files import load_encoder


def quiet() -> Console:
    return Console(file=io.StringIO(), width=120)


def test_json_has_the_documented_form(run, store, make_prompts):
    prompts = make_prompts()
    result = evaluate(
        run.path,
        prompts=prompts.path,
        tasks=("knn", "linear", "linear_sgd"),
        console=quiet(),
    )
    assert json.loads(json.dumps(result)) == result
    for task in ("knn", "linear", "linear_sgd"):
        assert set(result[task]) >= {"top1", "top5", "mean_class", "per_class", "confusion"}
        assert set(result[task]["per_class"]) == {"a", "b", "c"}
        written = json.loads((run.path / "evaluation" / f"{task}.json").read_text())
        assert written["top1"] == result[task]["top1"]
        assert written["protocol"] == "xsub"
    assert result["linear"]["regularisation"] > 0
    assert set(result["baselines"]) == {
        "chance",
        "majority",
        "raw_knn",
        "raw_knn_aligned",
        "untrained_knn",
        "untrained_linear",
        "prompt_probe_language",
        "prompt_probe_vision",
        "prompt_probe_both",
    }
    assert result["baselines"]["chance"] == pytest.approx(1 / 3)
    assert all(0 <= rate <= 1 for rate in result["baselines"].values())
    assert result["counts"] == {"train": 24, "test": 24, "classes": 3, "unlabelled": 0, "copies": 0}
    assert (run.path / "report.html").is_file()
    rows = {row["task"]: row for row in csv.DictReader((run.path / "report.csv").open())}
    assert float(rows["knn"]["mean"]) == pytest.approx(result["knn"]["top1"], rel=1e-5)
    assert f"{100 * result['knn']['top1']:.1f}" in (run.path / "report.md").read_text()
    assert r"\begin{tabular}" in (run.path / "report.tex").read_text()


def test_knn_is_that_of_the_features_by_a_loop(run, store):
    result = evaluate(run.path, tasks=("knn",), console=quiet())
    split = get_split(store, "xsub")
    encoder = load_encoder(run.path)
    train = extract_features(encoder, store, split.train)
    right = 0
    for row in split.test:
        feature = extract_features(encoder, store, np.array([row]))[0]
        cosine = train @ feature / np.linalg.norm(train, axis=1)
        right += store.labels[split.train[cosine.argmax()]] == store.labels[row]
    assert result["knn"]["top1"] == right / len(split.test)


def test_table_has_baselines_beside_the_tasks(run):
    console = quiet()
    evaluate(run.path, console=console)
    text = console.file.getvalue()
    for words in ("nearest neighbour on features", "raw coordinates", "untrained encoder", "chance"):
        assert words in text
    assert "prompts" not in text.replace("prompts_", "")


def test_run_prompts_are_used_by_default(run, make_prompts, monkeypatch):
    prompts = make_prompts()
    config = {**run.config, "prompts": str(prompts.path)}
    (run.path / "config.yaml").write_text(json.dumps(config))  # JSON is YAML
    assert "prompt_probe_both" in evaluate(run.path, console=quiet())["baselines"]


def test_a_fold_of_the_training_part_is_a_protocol(run):
    result = evaluate(run.path, protocol="xsub:fold1of2", tasks=("knn",), console=quiet())
    assert result["protocol"] == "xsub:fold1of2"
    assert result["counts"]["train"] + result["counts"]["test"] == 24


def test_clips_without_a_label_are_left_out_and_counted(run, store, tmp_path):
    path = tmp_path / "some.arrow"
    with SkeletonStoreWriter(path, store.meta) as writer:
        for i in range(len(store)):
            label = None if i < 5 else int(store.labels[i])
            subject = int(store.subjects[i])
            writer.add(Sequence(store.ids[i], store.sequence(i), label, subject))
    result = evaluate(run.path, data=path, tasks=("knn",), console=quiet())
    assert result["counts"] == {"train": 19, "test": 24, "classes": 3, "unlabelled": 5, "copies": 0}


def test_wrong_input_is_one_message_and_writes_nothing(run, store, tmp_path):
    with pytest.raises(InputError, match="did you mean 'linear'"):
        evaluate(run.path, tasks=("knn", "linaer"))
    with pytest.raises(InputError, match="at least one task"):
        evaluate(run.path, tasks=())
    with pytest.raises(InputError, match="no run directory"):
        evaluate(tmp_path)
    with pytest.raises(InputError, match="did you mean 'xsub'"):
        evaluate(run.path, protocol="xsubj")
    other = tmp_path / "other.arrow"
    with SkeletonStoreWriter(other, StoreMeta("utd_mhad", get_layout("hand21"), ("a",))) as writer:
        for subject in (1, 2):
            writer.add(Sequence(f"s{subject}", np.ones((3, 1, 21, 3)), 0, subject))
    with pytest.raises(InputError, match="hand21 has neither the joint 'pelvis' nor joints that can stand"):
        evaluate(run.path, data=other)
    assert not list((run.path / "evaluation").glob("*"))
    assert not (run.path / "report.html").exists()


def test_copies_of_training_clips_are_counted_and_left_out_beside(run, store, tmp_path):
    path = tmp_path / "copied.arrow"
    with SkeletonStoreWriter(path, store.meta) as writer:
        for i in range(len(store)):
            clip = store.sequence(i - 24 if 24 <= i < 34 else i)  # ten test clips repeat training clips
            writer.add(Sequence(store.ids[i], clip, int(store.labels[i]), int(store.subjects[i])))
    console = quiet()
    result = evaluate(run.path, data=path, tasks=("knn",), console=console)
    assert result["counts"]["copies"] == 10
    assert "no copies" in console.file.getvalue()
    for whole, without in (
        (result["knn"]["top1"], result["knn"]["top1_without_copies"]),
        (result["baselines"]["raw_knn"], result["baseline_details"]["raw_knn"]["top1_without_copies"]),
    ):
        assert whole * 24 == pytest.approx(10 + without * 14)  # a copy is its own neighbour: always right
    assert "10 of the 24 test clips are copies" in (run.path / "report.html").read_text()
    assert "copies of a training clip" not in _report_without_copies(run)


def _report_without_copies(run) -> str:
    result = evaluate(run.path, tasks=("knn",), console=quiet())
    assert "top1_without_copies" not in result["knn"]
    return (run.path / "report.html").read_text()


def test_baselines_and_pages_can_be_left_out(run):
    result = evaluate(run.path, tasks=("knn",), baselines=False, console=quiet())
    assert "baselines" not in result
    assert json.loads((run.path / "evaluation" / "knn.json").read_text())["top1"] == result["knn"]["top1"]
    assert not (run.path / "evaluation" / "baselines.json").exists()
    assert "chance" not in (run.path / "report.html").read_text()
    (run.path / "report.html").unlink()
    assert numbers_alone(run.path, tasks=("knn",), console=quiet())["knn"] == result["knn"]
    assert not (run.path / "report.html").exists()
