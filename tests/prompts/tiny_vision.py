"""Tiny random checkpoints of detectors and vision models, of the real classes with their real files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import tiny_models
import torch
import transformers as tf

_TOWER = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 32}
_VIT = {**_TOWER, "intermediate_size": 16, "patch_size": 8}


def grounding_dino(folder: Path, family: str = "GroundingDino") -> Path:
    """Grounding DINO, or ``MMGroundingDino``, with ten queries."""
    torch.manual_seed(0)
    folder.mkdir(exist_ok=True)
    tokenizer = tiny_models.bert_tokenizer(folder)
    backbone = tf.SwinConfig(
        image_size=64, embed_dim=8, depths=[1] * 4, num_heads=[1] * 4, window_size=4, out_indices=[2, 3, 4]
    )
    text = tf.BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
    )
    config = getattr(tf, f"{family}Config")(
        backbone_config=backbone,
        text_config=text,
        num_queries=10,
        d_model=32,
        encoder_layers=1,
        decoder_layers=2,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=16,
        decoder_ffn_dim=16,
    )
    getattr(tf, f"{family}ForObjectDetection")(config).save_pretrained(folder)
    size = {"shortest_edge": 64, "longest_edge": 96}
    image = {"image_processor_type": "GroundingDinoImageProcessor", "size": size}
    (folder / "preprocessor_config.json").write_text(json.dumps(image))
    (folder / "processor_config.json").write_text('{"processor_class": "GroundingDinoProcessor"}')
    return folder


def vision_model(folder: Path, kind: str, **more: Any) -> Path:
    """A vision model with an image processor: vit, dinov2, swin, resnet or convnext."""
    torch.manual_seed(0)
    narrow = {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1], "layer_type": "basic"}
    made = {
        "vit": lambda: tf.ViTModel(tf.ViTConfig(**_VIT), **more),
        "dinov2": lambda: tf.Dinov2Model(tf.Dinov2Config(**_TOWER, patch_size=8)),
        "registers": lambda: tf.Dinov2WithRegistersModel(
            tf.Dinov2WithRegistersConfig(**_TOWER, patch_size=8, num_register_tokens=3)
        ),
        "swin": lambda: tf.SwinModel(
            tf.SwinConfig(image_size=32, embed_dim=8, depths=[1, 1], num_heads=[1, 1], window_size=4)
        ),
        "resnet": lambda: tf.ResNetModel(tf.ResNetConfig(**narrow)),
        "convnext": lambda: tf.ConvNextModel(
            tf.ConvNextConfig(hidden_sizes=[8, 16], depths=[1, 1], num_stages=2)
        ),
    }
    made[kind]().save_pretrained(folder)
    processor = {"vit": "ViTImageProcessor", "swin": "ViTImageProcessor", "resnet": "ConvNextImageProcessor"}
    size = {"shortest_edge": 32} if kind in ("resnet", "convnext") else {"height": 32, "width": 32}
    name = processor.get(kind, "ConvNextImageProcessor" if kind == "convnext" else "BitImageProcessor")
    note: dict[str, Any] = {"image_processor_type": name, "size": size}
    if name == "BitImageProcessor":
        note |= {"size": {"shortest_edge": 32}, "crop_size": {"height": 32, "width": 32}}
    (folder / "preprocessor_config.json").write_text(json.dumps(note))
    return folder
