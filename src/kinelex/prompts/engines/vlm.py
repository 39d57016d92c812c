"""Language engine ``vlm``: any image-text-to-text model of ``transformers`` is asked about pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from kinelex.errors import InputError
from kinelex.prompts.base import EngineContext
from kinelex.prompts.engines.asking import QUESTION
from kinelex.prompts.engines.local_model import LocalModel, ModelOptions


class VisionLanguageModel(LocalModel):
    """A vision-language model (LLaVA, LLaVA-NeXT, Qwen-VL, SmolVLM …) answers a question about each frame.

    Decoding is greedy: the same pictures give the same answers.

    Args:
        context: the store and the pictures of its clips.
        model: folder or hub id of an image-text-to-text checkpoint (owner/name or owner/name@revision).
        question: what is asked about each picture.
        question_file: a text file with the question, in the place of ``question``.
        template: the prompt, with the checkpoint's image token and {question} in it; empty takes the
            checkpoint's chat template.
        look: full frames, or the crop of the run's vision engine.
        batch_size: pictures per pass.
        max_new_tokens: where an answer is cut off, in tokens.
        refused: what becomes of a clip with a picture about which the model says nothing: stop the run, or
            skip the clip, which then has no texts.
        device: auto, cpu, cuda, cuda:1 …
        dtype: auto, float32, bfloat16 or float16; auto is the checkpoint's own on a GPU, float32 on a CPU.

    Source: C2VL (arXiv 2405.20606) asks LLaVA.
    """

    name = "vlm"

    def __init__(
        self,
        context: EngineContext,
        *,
        model: str = "llava-hf/llava-1.5-7b-hf",
        question: str = QUESTION,
        question_file: Path | None = None,
        template: str = "",
        look: str = "full",
        batch_size: int = 8,
        max_new_tokens: int = 96,
        refused: str = "stop",
        device: str = "auto",
        dtype: str = "auto",
    ) -> None:
        options = ModelOptions(
            model, question, question_file, look, batch_size, max_new_tokens, refused, device, dtype
        )
        super().__init__(context, "AutoModelForImageTextToText", options, template=template)
        self._prompt = _prompt(self.processor, self.question, template)
        self._tokenizer = self.processor.tokenizer
        self._tokenizer.padding_side = "left"  # what is written goes on at the right
        if self._tokenizer.pad_token is None:
            self._tokenizer.pad_token = self._tokenizer.eos_token
        self._max_new_tokens = max_new_tokens
        self._inputs([np.zeros((64, 64, 3), np.uint8)])  # says now what is wrong with the prompt

    def _inputs(self, images: list[np.ndarray]) -> Any:
        """What the processor makes of the prompt and pictures."""
        from PIL import Image

        try:
            return self.processor(
                text=[self._prompt] * len(images),
                images=[[Image.fromarray(image)] for image in images],
                padding=True,
                add_special_tokens=not self._prompt.startswith(self._tokenizer.bos_token or "\0"),
                return_tensors="pt",
            )
        except (ValueError, TypeError, LookupError) as error:
            raise InputError(
                f"the checkpoint's processor refuses the prompt {self._prompt!r} ({error}): expects its "
                "image token in it once, see language.template and language.question"
            ) from error

    def answer(self, images: list[np.ndarray]) -> tuple[list[str], dict[str, int]]:
        """Answers about some pictures, and the tokens that they cost."""
        inputs = self._inputs(images).to(self.network.device, dtype=self.network.dtype)
        with torch.inference_mode():
            out = self.network.generate(
                **inputs,
                max_new_tokens=self._max_new_tokens,
                do_sample=False,
                num_beams=1,
                pad_token_id=self._tokenizer.pad_token_id,
            )
        asked = inputs["input_ids"]
        if out.shape[1] >= asked.shape[1] and torch.equal(out[:, : asked.shape[1]], asked):
            out = out[:, asked.shape[1] :]  # decoders repeat the prompt, encoder-decoders do not
        written = int((out != self._tokenizer.pad_token_id).sum())
        texts = self._tokenizer.batch_decode(out, skip_special_tokens=True)
        return texts, {"tokens": written, "prompt_tokens": int(inputs["attention_mask"].sum())}


def _prompt(processor: Any, question: str, template: str) -> str:
    """The text that goes to the model: the user's template, or the checkpoint's own."""
    if template:
        if "{question}" not in template:
            raise InputError(f"language.template expects {{question}} somewhere, got {template!r}")
        return template.replace("{question}", question)
    said = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": question}]}]
    if not (getattr(processor, "chat_template", None) or getattr(processor.tokenizer, "chat_template", None)):
        token = getattr(processor, "image_token", "<image>")
        raise InputError(
            "the checkpoint has no chat template: give its prompt as its description shows it, for example "
            f"language.template='USER: {token}\\n{{question}} ASSISTANT:'"
        )
    return processor.apply_chat_template(said, add_generation_prompt=True, tokenize=False)
