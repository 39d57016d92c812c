"""Language engine ``blip_vqa``: BLIP answers a question about each picture in a word or two, as in MMCL."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from kinelex.prompts.base import EngineContext
from kinelex.prompts.engines.local_model import LocalModel, ModelOptions


class BlipVQA(LocalModel):
    """BLIP for visual question answering gives a short answer about each frame.

    Args:
        context: the store and the pictures of its clips.
        model: folder or hub id of a BLIP checkpoint for question answering.
        question: what is asked about each picture.
        question_file: a text file with the question, in the place of ``question``.
        look: full frames, or the crop of the run's vision engine.
        batch_size: pictures per pass.
        max_new_tokens: where an answer is cut off, in tokens.
        refused: what becomes of a clip with a picture about which the model says nothing: stop the run, or
            skip the clip, which then has no texts.
        device: auto, cpu, cuda, cuda:1 …
        dtype: auto, float32, bfloat16 or float16; auto is the checkpoint's own on a GPU, float32 on a CPU.

    Source: MMCL (arXiv 2407.15706), the question of its feature refinement module.
    """

    name = "blip_vqa"

    def __init__(
        self,
        context: EngineContext,
        *,
        model: str = "Salesforce/blip-vqa-base",
        question: str = "Are the people holding objects?",
        question_file: Path | None = None,
        look: str = "full",
        batch_size: int = 16,
        max_new_tokens: int = 16,
        refused: str = "stop",
        device: str = "auto",
        dtype: str = "auto",
    ) -> None:
        options = ModelOptions(
            model, question, question_file, look, batch_size, max_new_tokens, refused, device, dtype
        )
        super().__init__(context, "BlipForQuestionAnswering", options)
        self._max_new_tokens = max_new_tokens

    def answer(self, images: list[np.ndarray]) -> tuple[list[str], dict[str, int]]:
        """Answers about some pictures, and the tokens that they cost."""
        from PIL import Image

        inputs = self.processor(
            images=[Image.fromarray(image) for image in images],
            text=[self.question] * len(images),
            padding=True,
            return_tensors="pt",
        ).to(self.network.device, dtype=self.network.dtype)
        with torch.inference_mode():
            out = self.network.generate(
                **inputs, max_new_tokens=self._max_new_tokens, do_sample=False, num_beams=1
            )
        written = int((out[:, 1:] != self.processor.tokenizer.pad_token_id).sum())  # less the start token
        texts = self.processor.batch_decode(out, skip_special_tokens=True)
        return texts, {"tokens": written, "prompt_tokens": int(inputs["attention_mask"].sum())}
