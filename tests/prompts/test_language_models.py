"""The engines ``vlm`` and ``blip_vqa`` with tiny checkpoints, against one token at a time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_models
import torch
import transformers as tf
from PIL import Image

from kinelex.data import open_prompts
from kinelex.errors import InputError
from kinelex.inference.features import check_device
from kinelex.models import transformers
from kinelex.models.transformers import find_checkpoint, find_device
from kinelex.prompts import Crops, EngineContext, create, make_prompts

INDICES = np.array([0, 3, 3, 8, 9])
QUESTION = "What is he doing?"


class Pictures:
    """Every frame another noise; row 1 has none."""

    def frames(self, row: int, indices: np.ndarray) -> np.ndarray | None:
        if row == 1:
            return None
        drawn = [np.random.default_rng([row, int(i)]) for i in indices]
        return np.stack([rng.integers(0, 255, (40, 50, 3), dtype=np.uint8) for rng in drawn])


class Half:
    """A vision engine that finds a person in the left half, and nobody in frame 8."""

    def crops(self, row: int, indices: np.ndarray) -> Crops:
        boxes = np.array([[0, 0, 0, 0] if i == 8 else [-3, 2.5, 25, 90] for i in indices], np.float32)
        return Crops(np.zeros((len(indices), 1, 8, 8, 3), np.uint8), boxes, indices == 8)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    there = tmp_path_factory.mktemp("checkpoints")
    made = {"llava": tiny_models.llava, "qwen": tiny_models.qwen, "blip": tiny_models.blip}
    for name, make in made.items():
        (there / name).mkdir()
        make(there / name)
    return {name: there / name for name in made}


def engine(name: str, model: Path | str, **options: Any) -> Any:
    context = EngineContext(pictures=Pictures(), vision=Half())  # type: ignore[arg-type]
    return create("language engine", name, context, model=str(model), **options)


def greedy(model: Any, inputs: dict[str, torch.Tensor], most: int, last: int) -> list[int]:
    """Token after token, each time the whole text again: what ``generate`` has to equal."""
    ids, said = inputs["input_ids"], []
    for _ in range(most):
        rest = {k: v for k, v in inputs.items() if k not in ("input_ids", "attention_mask")}
        if "mm_token_type_ids" in rest:
            grown = torch.zeros_like(ids)
            grown[:, : rest["mm_token_type_ids"].shape[1]] = rest["mm_token_type_ids"]
            rest["mm_token_type_ids"] = grown
        with torch.inference_mode():
            token = int(
                model(input_ids=ids, attention_mask=torch.ones_like(ids), **rest).logits[0, -1].argmax()
            )
        if token == last:
            break
        said.append(token)
        ids = torch.cat([ids, torch.tensor([[token]])], dim=1)
    return said


def plain_answers(
    folder: Path, prompt: str, images: list[np.ndarray], most: int, last: int = 2
) -> tuple[list[str], list[list[int]]]:
    """Answers of a vision-language model and their tokens, one picture at a time."""
    found = find_checkpoint(str(folder), "language.model")
    processor, model = found.processor(), tf.AutoModelForImageTextToText.from_pretrained(folder).eval()
    tokens = []
    for image in images:
        inputs = processor(text=prompt, images=Image.fromarray(image), return_tensors="pt")
        tokens.append(greedy(model, dict(inputs), most, last))
    return [processor.tokenizer.decode(t, skip_special_tokens=True).strip() for t in tokens], tokens


@pytest.mark.parametrize(
    ("name", "prompt"),
    [
        ("llava", f"USER: <image>\n{QUESTION} ASSISTANT:"),
        ("qwen", f"USER: <|vision_start|><|image_pad|><|vision_end|>{QUESTION} ASSISTANT:"),
    ],
)
def test_batches_say_what_one_at_a_time_says(folders: dict[str, Path], name: str, prompt: str) -> None:
    made = engine("vlm", folders[name], question=QUESTION, max_new_tokens=9, batch_size=3, device="cpu")
    said = made.texts(0, INDICES)
    frames = Pictures().frames(0, INDICES)
    assert frames is not None
    assert said.frames == plain_answers(folders[name], prompt, list(frames), 9)[0]
    assert said.clip is None
    assert said.frames[1] == said.frames[2]
    assert len(set(said.frames)) >= 3  # what is seen matters
    assert made.texts(1, INDICES) is None
    assert made.cost["clips"] == 1
    assert 9 < made.cost["tokens"] <= 9 * len(INDICES)
    assert made.cost["prompt_tokens"] > 9 * len(INDICES)
    assert made.cost["seconds"] > 0
    assert made.summary().startswith(f"{name}: ")
    asked = made.settings
    assert (asked["model"], asked["question"], asked["dtype"]) == (name, QUESTION, "float32")
    assert str(folders[name]) not in str(asked)


def test_an_answer_ends_where_the_model_ends_it(folders: dict[str, Path], tmp_path: Path) -> None:
    for path in folders["llava"].iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    prompt, frames = f"USER: <image>\n{QUESTION} ASSISTANT:", Pictures().frames(0, INDICES)
    assert frames is not None
    ends = plain_answers(tmp_path, prompt, list(frames[:1]), 9)[1][0][4]  # a token in the middle of an answer
    about = json.loads((tmp_path / "generation_config.json").read_text())
    (tmp_path / "generation_config.json").write_text(json.dumps({**about, "eos_token_id": ends}))
    made = engine("vlm", tmp_path, question=QUESTION, max_new_tokens=9, batch_size=5, device="cpu")
    texts, tokens = plain_answers(tmp_path, prompt, list(frames), 9, last=ends)
    assert len({len(t) for t in tokens}) > 1
    ended = [t.removesuffix(made._tokenizer.decode([ends])).strip() for t in made.texts(0, INDICES).frames]
    assert ended == texts
    assert made.cost["tokens"] == sum(min(len(t) + 1, 9) for t in tokens)


def test_blip_answers_as_one_at_a_time(folders: dict[str, Path]) -> None:
    made = engine("blip_vqa", folders["blip"], max_new_tokens=6, batch_size=2, device="cpu")
    assert made.settings["question"] == "Are the people holding objects?"
    said = made.texts(0, INDICES).frames
    model = tf.BlipForQuestionAnswering.from_pretrained(folders["blip"]).eval()
    processor = tf.AutoProcessor.from_pretrained(folders["blip"])
    frames = Pictures().frames(0, INDICES)
    assert frames is not None
    for text, frame in zip(said, frames, strict=True):
        inputs = processor(images=Image.fromarray(frame), text=made.settings["question"], return_tensors="pt")
        with torch.inference_mode():
            seen = model.vision_model(pixel_values=inputs["pixel_values"])[0]
            asked = model.text_encoder(
                input_ids=inputs["input_ids"], encoder_hidden_states=seen, return_dict=False
            )[0]
            ids = torch.tensor([[2]])
            for _ in range(6):
                logits = model.text_decoder(input_ids=ids, encoder_hidden_states=asked).logits
                ids = torch.cat([ids, logits[:, -1:].argmax(-1)], dim=1)
                if ids[0, -1] == 3:
                    break
        assert text == processor.tokenizer.decode(ids[0], skip_special_tokens=True).strip()
    assert len(set(said)) >= 3
    assert made.texts(1, INDICES) is None
    assert len(INDICES) <= made.cost["tokens"] <= 6 * len(INDICES)


@pytest.mark.parametrize(("name", "model"), [("vlm", "llava"), ("blip_vqa", "blip")])
def test_an_answer_without_a_text_stops_or_leaves_its_clip_without_texts(
    folders: dict[str, Path], name: str, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with a server: what says nothing about a frame is no text about it."""
    for refused in ("stop", "skip"):
        made = engine(name, folders[model], device="cpu", refused=refused)
        monkeypatch.setattr(
            made, "answer", lambda images: (["He sits."] * (len(images) - 1) + [" \n"], {"tokens": 1})
        )
        if refused == "skip":
            assert made.texts(0, INDICES) is None
            continue
        with pytest.raises(InputError, match=f"{model} answers without a text about frame 9 of clip 0"):
            made.texts(0, INDICES)
    with pytest.raises(InputError, match="refused expects stop or skip, got 'cry'"):
        engine(name, folders[model], refused="cry")


def test_bfloat16_and_crops_and_a_question_from_a_file(folders: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "q.txt").write_text(f"\n{QUESTION}\n", encoding="utf-8-sig")
    options = {"question_file": str(tmp_path / "q.txt"), "max_new_tokens": 5, "device": "cpu"}
    made = engine("vlm", folders["llava"], look="crop", dtype="bfloat16", **options)
    assert made.settings["question"] == QUESTION
    assert made.settings["dtype"] == "bfloat16"
    assert len(made.texts(0, INDICES).frames) == len(INDICES)
    images = made._look(0, INDICES)
    frames = Pictures().frames(0, INDICES)
    assert frames is not None
    assert np.array_equal(images[0], frames[0, 2:40, :25])
    assert np.array_equal(images[3], frames[3])  # nobody found: the whole frame
    full = engine("vlm", folders["llava"], **options)
    assert full.texts(0, INDICES) != engine("vlm", folders["llava"], look="crop", **options).texts(0, INDICES)


def test_a_template_of_ones_own(folders: dict[str, Path], tmp_path: Path) -> None:
    for path in folders["llava"].iterdir():
        if path.name != "chat_template.jinja":
            (tmp_path / path.name).write_bytes(path.read_bytes())
    with pytest.raises(InputError, match=r"no chat template: .*language.template='USER: <image>"):
        engine("vlm", tmp_path)
    own = "USER: <image>\n{question} ASSISTANT:"
    alike = {"question": QUESTION, "max_new_tokens": 5, "device": "cpu"}
    assert engine("vlm", tmp_path, template=own, **alike).texts(0, INDICES) == engine(
        "vlm", folders["llava"], **alike
    ).texts(0, INDICES)
    with pytest.raises(InputError, match="expects {question} somewhere"):
        engine("vlm", tmp_path, template="USER: <image>")
    for wrong in ({"template": "{question}"}, {"question": "What is in <image>?", "template": own}):
        with pytest.raises(InputError, match=r"refuses the prompt .*expects its image token in it once"):
            engine("vlm", tmp_path, **wrong)


def test_what_is_wrong_with_a_checkpoint_is_said(folders: dict[str, Path], tmp_path: Path) -> None:
    bert = tmp_path / "bert"
    bert.mkdir()
    tiny_models.bert(bert)
    for name, model, words in (
        ("blip_vqa", folders["llava"], "language.model=FOLDER-OR-ID"),
        ("vlm", bert, "bert cannot be loaded as AutoModelForImageTextToText .*BertConfig"),
        ("vlm", tmp_path, "has no config.json"),
        ("vlm", tmp_path / "nothing", "expects the folder of a checkpoint or an id of the hub"),
        ("vlm", "", "expects the folder of a checkpoint or an id of the hub"),
        ("vlm", "~nobody-of-this-name/llava", "expects the folder of a checkpoint or an id of the hub"),
    ):
        with pytest.raises(InputError, match=words):
            engine(name, model)
    broken = tmp_path / "broken"
    broken.mkdir()
    for path in folders["llava"].iterdir():
        (broken / path.name).write_bytes(path.read_bytes())
    weights = (broken / "model.safetensors").read_bytes()
    (broken / "model.safetensors").write_bytes(weights[: len(weights) // 2])
    with pytest.raises(InputError, match="cannot be loaded as AutoModelForImageTextToText"):
        engine("vlm", broken)
    (broken / "tokenizer.json").unlink()
    with pytest.raises(InputError, match="cannot be loaded as AutoProcessor"):
        engine("vlm", broken)


def test_weights_that_are_missing_are_not_drawn_at_random(folders: dict[str, Path], tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    for path in folders["llava"].iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    weights = load_file(tmp_path / "model.safetensors")
    name = next(k for k in sorted(weights) if "projector" in k)
    del weights[name]
    save_file(weights, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(InputError, match=r"1 of its weights are missing, model\.multi_modal_projector"):
        engine("vlm", tmp_path)


def test_checkpoints_are_told_apart_by_what_is_in_them(folders: dict[str, Path], tmp_path: Path) -> None:
    one, two = tmp_path / "a" / "llava", tmp_path / "b" / "llava"
    for folder in (one, two):
        folder.mkdir(parents=True)
        tiny_models.llava(folder, seed=0 if folder is one else 1)
    (tmp_path / "moved").symlink_to(one)
    (one / "README.md").write_text("what lies beside the checkpoint does not count")
    found = [find_checkpoint(str(f), "language.model").settings for f in (one, two, tmp_path / "moved")]
    assert found[0] == found[2] == find_checkpoint(str(folders["llava"]), "language.model").settings
    assert found[0]["model"] == found[1]["model"] == "llava"
    assert found[0]["revision"] != found[1]["revision"]


def test_a_hub_that_cannot_be_reached_says_what_to_download(monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    def unreachable(*args: Any, **kwargs: Any) -> None:
        raise ConnectionError("no route to the hub")

    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", unreachable)
    with pytest.raises(InputError) as caught:
        engine("vlm", "nobody/llava-of-the-test")
    for words in (
        "no route to the hub",
        "hf download nobody/llava-of-the-test --local-dir llava-of-the-test",
        "language.model=llava-of-the-test",
    ):
        assert words in str(caught.value)
    cached = "/cache/models--nobody--llava/snapshots/abc123/config.json"
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *a, **k: cached)
    found = find_checkpoint("nobody/llava", "language.model")
    assert (found.settings, found.offline) == ({"model": "nobody/llava", "revision": "abc123"}, True)


def test_models_that_are_not_at_the_hub_or_shared_on_conditions(monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub
    from huggingface_hub import errors

    for kind, words in (
        (errors.RepositoryNotFoundError, "no such model at the hub: .*owner/name@revision"),
        (errors.GatedRepoError, "accept them at the hub and log in"),
    ):

        def missing(*args: Any, kind: Any = kind, **kwargs: Any) -> None:
            raise kind.__new__(kind)

        monkeypatch.setattr(huggingface_hub.HfApi, "model_info", missing)
        with pytest.raises(InputError, match=words):
            find_checkpoint("nobody/llava", "language.model")
    asked = {}

    def there(self: Any, name: str, revision: str | None, timeout: float) -> Any:
        asked.update(name=name, revision=revision)
        return type("Info", (), {"sha": "f00d"})

    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", there)
    found = find_checkpoint("some/llava@v2", "language.model")
    assert asked == {"name": "some/llava", "revision": "v2"}
    assert found._from == {"revision": "f00d", "local_files_only": False, "trust_remote_code": False}


def test_devices_dtypes_and_packages_that_are_not_there(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("gpu0", "meta", "hpu"):
        with pytest.raises(InputError, match="expects a device that torch has here"):
            find_device(name)
        with pytest.raises(InputError, match=f"device '{name}' cannot be used on this machine"):
            check_device(name)
    with pytest.raises(InputError, match="did you mean 'bfloat16'"):
        engine("vlm", folders["llava"], dtype="bf16")
    with pytest.raises(InputError, match="language.batch_size expects at least 1, got 0"):
        engine("blip_vqa", folders["blip"], batch_size=0)
    with pytest.raises(InputError, match="--pictures and --source"):
        create("language engine", "vlm", EngineContext(), model=str(folders["llava"]))
    monkeypatch.setattr(transformers, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install 'kinelex\[models\]'"):
        engine("vlm", folders["llava"])


def test_too_many_pictures_for_the_memory(folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    made = engine("vlm", folders["llava"], device="cpu")

    def full(**inputs: Any) -> None:
        raise torch.OutOfMemoryError("out of memory")

    monkeypatch.setattr(made.network, "generate", full)
    with pytest.raises(InputError, match="language.batch_size=4"):
        made.texts(0, INDICES)


@pytest.mark.parametrize(("name", "checkpoint"), [("vlm", "llava"), ("blip_vqa", "blip")])
def test_from_a_store_to_prompts(
    folders: dict[str, Path], small_store: Path, tmp_path: Path, name: str, checkpoint: str
) -> None:
    bert = tmp_path / "bert"
    bert.mkdir()
    tiny_models.bert(bert)
    options = {
        "language": {"model": str(folders[checkpoint]), "max_new_tokens": 3, "batch_size": 16},
        "pictures": {"image_size": 32},
        "text_encoder": {"model": str(bert)},
    }
    out = tmp_path / "p.arrow"
    make_prompts(
        small_store,
        out,
        name,
        None,
        pictures="render",
        frames=2,
        text_encoder="sentence",
        pool="text",
        options=options,
        progress=False,
    )
    prompts = open_prompts(out)
    assert len(prompts) == 70
    assert prompts.meta.widths == {"language": 16}
    clip = prompts.clip("clip69").language
    assert clip is not None
    assert clip.texts is not None
    assert len(clip.texts) == 2
    assert np.linalg.norm(clip.embeddings.astype(float), axis=1) == pytest.approx(1, abs=2e-3)
    assert prompts.meta.engines["language"]["engine"]["model"] == checkpoint
