"""Language engine ``vlm``: any image-text-to-text model of ``transformers`` is asked about pictures."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from kinelex.errors import InputError
from kinelex.prompts.engines.local_model import LocalModel


@dataclass(kw_only=True, eq=False)
class VisionLanguageModel(LocalModel):
    """A vision-language model (LLaVA, LLaVA-NeXT, Qwen-VL, SmolVLM …) answers a question about each frame.

    Decoding is greedy: the same pictures give the same answers.

    Args:
        model: folder or hub id of an image-text-to-text checkpoint (owner/name or owner/name@revision).
        template: the prompt, with the checkpoint's image token and {question} in it; empty takes the
            checkpoint's chat template.

    Source: C2VL (arXiv 2405.20606) asks LLaVA.
    """

    name = "vlm"
    kind = "AutoModelForImageTextToText"
    model: str = "llava-hf/llava-1.5-7b-hf"
    batch_size: int = 8
    template: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._prompt = _prompt(self.processor, self.question, self.template)
        self._tokenizer = self.processor.tokenizer
        self._tokenizer.padding_side = "left"  # what is written goes on at the right
        if self._tokenizer.pad_token is None:
            self._tokenizer.pad_token = self._tokenizer.eos_token
        self._inputs([np.zeros((64, 64, 3), np.uint8)])  # says now what is wrong with the prompt

    def prompt_settings(self) -> dict[str, Any]:
        return {"template": self.template}

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
            limits = {"max_new_tokens": self.max_new_tokens, "do_sample": False, "num_beams": 1}
            out = self.network.generate(**inputs, **limits, pad_token_id=self._tokenizer.pad_token_id)
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
