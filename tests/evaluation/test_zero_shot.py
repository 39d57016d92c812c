"""Zero-shot: a space in which all is known, so that every number can be counted by hand."""

import io

import numpy as np
import pytest
import torch
import yaml
from rich.console import Console
from torch import nn

from kinelex.data import ClipPrompts, ModalityPrompts, PromptMeta, PromptStoreWriter, open_prompts
from kinelex.data.clip_prompts import PromptShape
from kinelex.datasets import get_split
from kinelex.datasets.utd_mhad import CLASSES
from kinelex.errors import InputError
from kinelex.evaluation import evaluate
from kinelex.evaluation.class_texts import class_texts
from kinelex.evaluation.context import Context
from kinelex.evaluation.protocols.prompt_space import ClipSpace
from kinelex.evaluation.protocols.retrieval import RetrievalOptions, RetrievalTask
from kinelex.evaluation.protocols.supervision import harmonic_mean
from kinelex.evaluation.protocols.zero_shot import ZeroShot, ZeroShotOptions
from kinelex.evaluation.retrieval_metrics import retrieve
from kinelex.methods.embedding_space import EmbeddingSpace
from kinelex.methods.projector import projector
from kinelex.methods.prompt_choice import PromptChoice
from kinelex.prompts import registry
from kinelex.prompts.class_texts import embed_classes
from kinelex.training.embedding_space_files import save_embedding_space
from kinelex.training.encoder_files import load_encoders

WIDTH = 3


class Letters:
    """A text encoder: how many a, b and c a text has."""

    name, version, width = "letters", "1", WIDTH

    def encode(self, texts: list[str]) -> np.ndarray:
        counts = np.array([[text.lower().count(letter) for letter in "abc"] for text in texts], float)
        return counts / np.linalg.norm(counts, axis=1, keepdims=True).clip(1e-9)


@pytest.fixture(autouse=True)
def letters(monkeypatch) -> None:
    monkeypatch.setitem(registry.PARTS[registry.TEXT_ENCODER], "letters", Letters)


def identity_space(features: int) -> EmbeddingSpace:
    """Skeletons: the first three features; language: the clip's own prompt, frames ignored."""
    shapes = {"language": PromptShape(count=2, width=WIDTH, clip_width=WIDTH)}
    choice = PromptChoice(shapes, "mean")
    modules = {"skeleton": projector(features, WIDTH, WIDTH), "language": projector(2 * WIDTH, WIDTH, WIDTH)}
    for name, start in (("skeleton", 0), ("language", WIDTH)):
        first, last = (layer for layer in modules[name] if isinstance(layer, nn.Linear))
        for layer in (first, last):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        with torch.no_grad():
            first.weight[:, start : start + WIDTH] = torch.eye(WIDTH)
            first.bias[:] = 5.0  # so that the ReLU cuts nothing off
            last.weight[:] = torch.eye(WIDTH)
            last.bias[:] = -5.0
    return EmbeddingSpace(nn.ModuleDict(modules), choice)


@pytest.fixture
def prompts(store, tmp_path):
    """Each clip's own sentence is its class's letter, but every fifth clip's is the next letter."""
    about = {"engine": {"name": "toy"}, "encoder": {"name": "letters", "version": "1"}, "pool": "sentences"}
    meta = PromptMeta("utd_mhad", store.fingerprint, {"language": about}, {"language": WIDTH})
    with PromptStoreWriter(tmp_path / "said.arrow", meta) as writer:
        for i, label in enumerate(store.labels):
            said = np.eye(WIDTH)[(label + (i % 5 == 0)) % WIDTH]
            vectors = np.stack([np.zeros(WIDTH), np.zeros(WIDTH), said])
            language = ModalityPrompts(np.array([0, 5, -1]), vectors, ["", "", "abc"[said.argmax()]])
            writer.add(ClipPrompts(store.ids[i], language))
    return open_prompts(tmp_path / "said.arrow")


@pytest.fixture
def context(run, store, prompts, monkeypatch) -> Context:
    """Features that name the class, but every fourth clip's name the next one."""
    trained = load_encoders(run.path)
    save_embedding_space(run.path, identity_space(trained["joint"].num_features))
    split = get_split(store, "xsub")
    quiet = Console(file=io.StringIO())
    made = Context(run, trained, store, "xsub", split.train, split.test, prompts, console=quiet)

    def features(self: Context, stream: str, rows: np.ndarray, *_: object) -> np.ndarray:
        named = (store.labels[rows] + (rows % 4 == 0)) % WIDTH
        return np.eye(trained[stream].num_features, dtype=np.float32)[named]

    monkeypatch.setattr(Context, "features", features)
    return made


def split_file(tmp_path, **content):
    path = tmp_path / "classes.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def test_rates_are_those_counted_by_hand(context, store, tmp_path):
    options = ZeroShotOptions(split=split_file(tmp_path, unseen=["a", "b"]), centre=False)
    result = ZeroShot().run(context, options)
    test, truth = context.test, context.truth
    named = (truth + (test % 4 == 0)) % WIDTH
    # Among a and b a clip that is named c has the same score with both, and the first of them is taken.
    among = np.where(named == 2, 0, named)
    assert result.numbers["top1"] == pytest.approx((among == truth)[truth < 2].mean())
    seen, novel = (named == truth)[truth == 2].mean(), (named == truth)[truth < 2].mean()
    expected = {"seen": seen, "unseen": novel, "harmonic_mean": 2 * seen * novel / (seen + novel)}
    assert result.numbers["generalised"] == pytest.approx(expected)
    assert result.numbers["chance"] == 0.5
    assert result.numbers["clips"] == {"unseen": 16, "seen": 8}
    low, high = result.numbers["ci95"]
    assert low < result.numbers["top1"] < high
    assert (result.scores[""].argmax(axis=1) == named).all()


def test_the_baseline_reads_the_clips_own_sentences(context, store, tmp_path):
    options = ZeroShotOptions(split=split_file(tmp_path, unseen=["a", "b"]), centre=False)
    found = ZeroShot().run(context, options).numbers["text_space"]
    said = (context.truth + (context.test % 5 == 0)) % WIDTH
    expected = (np.where(said == 2, 0, said) == context.truth)[context.truth < 2].mean()
    assert found["by_way"]["as_they_are"] == pytest.approx(expected)
    assert found["top1"] == max(found["by_way"].values())


def test_texts_may_be_told_apart_where_names_are_not(context, tmp_path):
    texts = tmp_path / "texts.yaml"
    texts.write_text(yaml.safe_dump({"a": "bbb.", "b": ["aaa. aa.", "aaaa."], "c": "ccc"}))
    split = split_file(tmp_path, unseen=["a", "b"])
    right = ZeroShot().run(context, ZeroShotOptions(split, centre=False)).numbers
    swapped = ZeroShot().run(context, ZeroShotOptions(split, texts, centre=False)).numbers
    assert swapped["generalised"]["unseen"] < right["generalised"]["unseen"]
    assert swapped["texts"] == str(texts)


def test_classes_in_neither_list_are_no_candidates(context, tmp_path):
    options = ZeroShotOptions(split_file(tmp_path, unseen=["a"], seen=["b"]), centre=False)
    result = ZeroShot().run(context, options)
    assert (result.scores[""][:, 2] == -2).all()
    assert result.numbers["clips"] == {"unseen": 8, "seen": 8}
    assert result.numbers["top1"] == 1  # the only candidate


def test_a_run_that_saw_clips_of_unseen_classes_is_said_to_be_so(context, run, store, tmp_path):
    split = split_file(tmp_path, unseen=["a", "b"])
    config = {**run.config, "store_fingerprint": store.fingerprint}
    (run.path / "config.yaml").write_text(yaml.safe_dump(config))
    numbers = ZeroShot().run(context, ZeroShotOptions(split)).numbers
    assert numbers["unseen_in_training"] == 16
    assert "16 clips of the unseen classes" in numbers["note"]
    (run.path / "config.yaml").write_text(yaml.safe_dump({**config, "protocol": f"xsub:seen-{split}"}))
    numbers = ZeroShot().run(context, ZeroShotOptions()).numbers  # the split is the run's own
    assert numbers["unseen_in_training"] == 0
    assert numbers["unseen"] == ["a", "b"]
    config["method"] = {"name": "supervised"}
    (run.path / "config.yaml").write_text(yaml.safe_dump(config))
    with pytest.raises(InputError, match="learned labels of the unseen classes"):
        ZeroShot().run(context, ZeroShotOptions(split))


def test_what_is_missing_is_said(context, run, tmp_path):
    with pytest.raises(InputError, match=r"zero_shot\.split=random:5:0"):
        ZeroShot().run(context, ZeroShotOptions())
    split = split_file(tmp_path, unseen=["a"])
    with pytest.raises(InputError, match="expects auto, names, utd_mhad, or a YAML file"):
        ZeroShot().run(context, ZeroShotOptions(split, tmp_path / "none.yaml"))
    bank, context.prompts = context.prompts, None
    with pytest.raises(InputError, match="pass --prompts PROMPTS"):
        ZeroShot().run(context, ZeroShotOptions(split))
    context.prompts, context.test = bank, context.test[context.truth > 0]
    with pytest.raises(InputError, match="no clip of the test part of xsub is of an unseen class"):
        ZeroShot().run(context, ZeroShotOptions(split))
    (run.path / "projectors.safetensors").unlink()
    with pytest.raises(InputError, match="has no projectors.safetensors with one"):
        ZeroShot().run(context, ZeroShotOptions(split))


def test_a_space_of_another_encoder_or_other_prompts_is_refused(context, run, make_prompts):
    context.prompts = make_prompts()
    with pytest.raises(InputError, match="pass the prompts that it was trained with"):
        ClipSpace.of(context).clip_prompts("language", context.test)
    save_embedding_space(run.path, identity_space(5))
    with pytest.raises(InputError, match="does not belong to the encoder"):
        ClipSpace.of(context)


def test_texts_and_skeletons_find_each_other(context):
    numbers = RetrievalTask().run(context, RetrievalOptions()).numbers
    test, truth = context.test, context.truth
    named, said = (truth + (test % 4 == 0)) % WIDTH, (truth + (test % 5 == 0)) % WIDTH
    # All skeletons named alike are equally near: the share of the right class among them is the precision.
    expected = []
    for own, word in zip(truth, said, strict=True):
        near = (named == word).astype(float)
        precision = [
            (near >= near[j])[truth == own].sum() / (near >= near[j]).sum()
            for j in np.flatnonzero(truth == own)
        ]
        expected.append(np.mean(precision))
    assert numbers["text_to_skeleton"]["mAP"] == pytest.approx(np.mean(expected))
    assert numbers["text_to_skeleton"]["pair"]["R@1"] == 0  # others are always as near
    assert numbers["skeleton_to_text"]["queries"] == len(test)


def test_the_whole_way_through_evaluate_with_a_cached_second_call(run, store, prompts, tmp_path):
    save_embedding_space(run.path, identity_space(load_encoders(run.path)["joint"].num_features))
    split = split_file(tmp_path, unseen=["a", "b"])

    def call() -> tuple[dict, str]:
        out = io.StringIO()
        options = {"zero_shot": {"split": str(split)}}
        console = Console(file=out, width=120)
        found = evaluate(
            run.path, tasks=["zero_shot"], prompts=prompts.path, options=options, console=console
        )
        return found["zero_shot"], out.getvalue()

    first, second = call(), call()
    assert first[0] == second[0]
    assert "zero_shot: cached" in second[1]
    split.write_text(yaml.safe_dump({"unseen": ["b", "c"]}))
    third = call()
    assert third[0]["unseen"] == ["b", "c"]
    assert "zero_shot: cached" not in third[1]


def test_harmonic_mean_by_hand():
    assert harmonic_mean(0.5, 0.25) == pytest.approx(1 / 3)
    assert harmonic_mean(0.0, 0.0) == 0


def test_sentences_of_a_class_are_embedded_each_for_itself():
    found = embed_classes([["a. b.", "c."], ["a"]], Letters(), by_sentence=True)
    half = np.sqrt(0.5)
    np.testing.assert_allclose(found, [[half / 2, half / 2, 0.5], [1, 0, 0]], atol=1e-6)
    whole = embed_classes([["aa. b."]], Letters(), by_sentence=False)
    np.testing.assert_allclose(whole, [[2 / np.sqrt(5), 1 / np.sqrt(5), 0]], atol=1e-6)


def test_the_texts_of_the_package_describe_every_class():
    taken, texts = class_texts("auto", "utd_mhad", CLASSES)
    assert taken == "utd_mhad"
    assert all(len(own) == 1 and len(own[0]) > 60 for own in texts)  # none goes by its name
    assert len({own[0] for own in texts}) == len(CLASSES)
    assert class_texts("auto", "actors", ("jump",)) == ("names", [["jump"]])
    with pytest.raises(InputError, match="describe none of the classes of actors"):
        class_texts("utd_mhad", "actors", ("jump",))


def test_clips_without_classes_are_asked_for_by_their_texts(context, store, monkeypatch):
    said = (store.labels + (np.arange(len(store)) % 5 == 0)) % WIDTH
    seen = {
        int(row): features for row, features in enumerate(context.features("joint", np.arange(len(store))))
    }
    monkeypatch.setattr(Context, "features", lambda self, _, rows, *__: np.stack([seen[r] for r in rows]))
    store.labels = np.full(len(store), -1)
    RetrievalTask().check(context, RetrievalOptions())
    found = RetrievalTask().run(context, RetrievalOptions()).numbers
    assert "mAP" not in found
    texts, skeletons = np.eye(WIDTH)[said[context.test]], context.features("joint", context.test)[:, :WIDTH]
    kinds = said[context.test]
    expected = retrieve(texts, kinds, skeletons, kinds).numbers()
    assert found["text_to_skeleton"]["mAP"] == pytest.approx(expected["mAP"])
    assert found["text_to_skeleton"]["mAP"] > found["text_to_skeleton"]["chance"]["mAP"]
    context.prompts = None
    with pytest.raises(InputError, match="has no classes, so retrieval goes from clips to prompts"):
        RetrievalTask().check(context, RetrievalOptions())
