"""Checkpoints of the real classes with few random weights, and real processor and tokenizer files."""

from __future__ import annotations

import json
from pathlib import Path

import torch
import transformers as tf
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

WORDS = (
    "The person sits down . He is holding a cell phone in his hand ? yes no What is he doing "
    "Are the people holding objects USER ASSISTANT : stands"
)
LLAVA_TEMPLATE = (
    "{% for m in messages %}{{ m.role | upper }}: {% for c in m.content %}"
    "{% if c.type == 'image' %}<image>\n{% else %}{{ c.text }}{% endif %}{% endfor %} {% endfor %}"
    "{% if add_generation_prompt %}ASSISTANT:{% endif %}"
)
QWEN_TEMPLATE = LLAVA_TEMPLATE.replace("<image>\n", "<|vision_start|><|image_pad|><|vision_end|>")
SIZE = 30  # side of the pictures that the vision towers see
TOWER = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}


def byte_tokenizer(folder: Path, *special: str) -> tf.PreTrainedTokenizerFast:
    """A byte-level BPE as Llama-like models have it, saved to the folder."""
    tokens = ["<pad>", "<s>", "</s>", *special]
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=320, special_tokens=tokens, initial_alphabet=alphabet, show_progress=False
    )
    made.train_from_iterator([WORDS], trainer)
    out = tf.PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token="<pad>", bos_token="<s>", eos_token="</s>"
    )
    out.save_pretrained(folder)
    return out


def clip_tokenizer(folder: Path) -> tf.CLIPTokenizer:
    """CLIP's own tokenizer over letters: no merges, so every letter is a token."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = [*letters, *(f"{c}</w>" for c in letters), "<|startoftext|>", "<|endoftext|>"]
    out = tf.CLIPTokenizer(vocab={w: i for i, w in enumerate(words)}, merges=[], model_max_length=24)
    out.save_pretrained(folder)
    return out


def bert_tokenizer(folder: Path) -> tf.BertTokenizer:
    """BERT's own tokenizer over a few words and all letters."""
    letters = [chr(c) for c in range(33, 127)]
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{c}" for c in letters)]
    words += sorted({w.lower() for w in WORDS.split()} - set(letters))
    out = tf.BertTokenizer(vocab={w: i for i, w in enumerate(words)}, model_max_length=24)
    out.save_pretrained(folder)
    return out


def saved(model: tf.PreTrainedModel, folder: Path, scale: float = 1.0) -> Path:
    """Save a model, its matrices ``scale`` times as large: then what it sees matters to what it says."""
    with torch.no_grad():
        for weights in model.parameters():
            if weights.ndim > 1:
                weights.mul_(scale)
    model.save_pretrained(folder)
    return folder


def image_processor(folder: Path, kind: str, size: object) -> None:
    """The file that an image processor is made from, as it lies in checkpoints."""
    note = {"image_processor_type": kind, "size": size, "do_resize": True, "do_normalize": True}
    crop = {"crop_size": {"height": SIZE, "width": SIZE}} if kind == "CLIPImageProcessor" else {}
    (folder / "preprocessor_config.json").write_text(json.dumps({**note, **crop}))


def llava(folder: Path, seed: int = 0) -> Path:
    """LLaVA: a CLIP vision tower and a Llama, as LLaVA-1.5."""
    torch.manual_seed(seed)
    tokenizer = byte_tokenizer(folder, "<image>")
    config = tf.LlavaConfig(
        vision_config=tf.CLIPVisionConfig(**TOWER, image_size=SIZE, patch_size=10, projection_dim=16),
        text_config=tf.LlamaConfig(
            **TOWER,
            num_key_value_heads=2,
            vocab_size=len(tokenizer),
            pad_token_id=0,
            bos_token_id=1,
            eos_token_id=2,
        ),
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        image_seq_length=9,
    )
    model = tf.LlavaForConditionalGeneration(config)
    model.generation_config.eos_token_id, model.generation_config.pad_token_id = 2, 0
    saved(model, folder, 12.0)
    image_processor(folder, "CLIPImageProcessor", {"shortest_edge": SIZE})
    about = {
        "processor_class": "LlavaProcessor",
        "patch_size": 10,
        "vision_feature_select_strategy": "default",
        "num_additional_image_tokens": 1,
    }
    (folder / "processor_config.json").write_text(json.dumps(about))
    (folder / "chat_template.jinja").write_text(LLAVA_TEMPLATE)
    return folder


def qwen(folder: Path) -> Path:
    """Qwen2-VL, whose processor has a part for videos that wants torchvision."""
    torch.manual_seed(0)
    special = ("<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>")
    tokenizer = byte_tokenizer(folder, *special)
    ids = tokenizer.convert_tokens_to_ids(list(special))
    config = tf.Qwen2VLConfig(
        text_config={
            **TOWER,
            "num_key_value_heads": 2,
            "vocab_size": len(tokenizer),
            "pad_token_id": 0,
            "bos_token_id": 1,
            "eos_token_id": 2,
            "rope_parameters": {"rope_type": "default", "mrope_section": [1, 1, 2]},
        },
        vision_config={"depth": 1, "embed_dim": 16, "num_heads": 2, "hidden_size": 16, "patch_size": 14},
        vision_start_token_id=ids[0],
        vision_end_token_id=ids[1],
        image_token_id=ids[2],
        video_token_id=ids[3],
    )
    saved(tf.Qwen2VLForConditionalGeneration(config), folder, 12.0)
    image = {"image_processor_type": "Qwen2VLImageProcessor", "min_pixels": 784, "max_pixels": 3136}
    (folder / "preprocessor_config.json").write_text(json.dumps(image))
    video = {"video_processor_type": "Qwen2VLVideoProcessor"}
    (folder / "video_preprocessor_config.json").write_text(json.dumps(video))
    (folder / "processor_config.json").write_text('{"processor_class": "Qwen2VLProcessor"}')
    (folder / "chat_template.jinja").write_text(QWEN_TEMPLATE)
    return folder


def blip(folder: Path) -> Path:
    """BLIP for visual question answering."""
    torch.manual_seed(0)
    tokenizer = bert_tokenizer(folder)
    text = {**TOWER, "encoder_hidden_size": 16, "vocab_size": len(tokenizer), "projection_dim": 16}
    text |= {"pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3, "sep_token_id": 3}
    tower = {**TOWER, "image_size": SIZE, "patch_size": 10, "initializer_range": 0.02}
    config = tf.BlipConfig(text_config=text, vision_config=tower, projection_dim=16)
    saved(tf.BlipForQuestionAnswering(config), folder, 12.0)
    image_processor(folder, "BlipImageProcessor", {"height": SIZE, "width": SIZE})
    (folder / "processor_config.json").write_text('{"processor_class": "BlipProcessor"}')
    return folder


def clip(folder: Path) -> Path:
    """CLIP, both towers, projected to 12 numbers."""
    torch.manual_seed(0)
    tokenizer = clip_tokenizer(folder)
    config = tf.CLIPConfig(
        text_config={
            **TOWER,
            "vocab_size": len(tokenizer),
            "max_position_embeddings": 24,
            "bos_token_id": len(tokenizer) - 2,
            "eos_token_id": len(tokenizer) - 1,
            "pad_token_id": len(tokenizer) - 1,
        },
        vision_config={**TOWER, "image_size": SIZE, "patch_size": 10},
        projection_dim=12,
    )
    saved(tf.CLIPModel(config), folder, 5.0)
    image_processor(folder, "CLIPImageProcessor", {"shortest_edge": SIZE})
    return folder


def siglip(folder: Path) -> Path:
    """SigLIP, both towers, whose texts are padded to the length it was trained with."""
    torch.manual_seed(0)
    tokenizer = byte_tokenizer(folder)
    config = tf.SiglipConfig(
        text_config={
            **TOWER,
            "vocab_size": len(tokenizer),
            "max_position_embeddings": 24,
            "projection_size": 16,
        },
        vision_config={**TOWER, "image_size": SIZE, "patch_size": 10},
    )
    saved(tf.SiglipModel(config), folder, 5.0)
    image_processor(folder, "SiglipImageProcessor", {"height": SIZE, "width": SIZE})
    return folder


def bert(folder: Path, **larger: int) -> Path:
    """BERT, without the weights of its pooler, as sentence encoders are shared."""
    torch.manual_seed(0)
    tokenizer = bert_tokenizer(folder)
    config = tf.BertConfig(**{**TOWER, "vocab_size": len(tokenizer), "max_position_embeddings": 24, **larger})
    return saved(tf.BertModel(config, add_pooling_layer=False), folder, 5.0)
