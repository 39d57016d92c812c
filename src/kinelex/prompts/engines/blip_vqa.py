"""Language engine ``blip_vqa``: BLIP answers a question about each picture in a word or two, as in MMCL."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from kinelex.models.transformers import find_checkpoint
from kinelex.prompts.base import ClipTexts, EngineContext
from kinelex.prompts.embed.pixels import fitting
from kinelex.prompts.engines.asking import (
    Looking,
    ask_about,
    check_at_least,
    cost_in_words,
    new_cost,
    read_question,
)


class BlipVQA:
    """BLIP for visual question answering gives a short answer about each frame.

    Args:
        context: the store and the pictures of its clips.
        model: folder or hub id of a BLIP checkpoint for question answering.
        question: what is asked about each picture.
        question_file: a text file with the question, in the place of ``question``.
        look: full frames, or the crop of the run's vision engine.
        batch_size: pictures per pass.
        max_new_tokens: where an answer is cut off, in tokens.
        device: auto, cpu, cuda, cuda:1 …
        dtype: auto, float32, bfloat16 or float16; auto is the checkpoint's own on a GPU, float32 on a CPU.

    Raises:
        InputError: a checkpoint that is not there or of another kind, no question, no pictures, or an
            option out of range.

    Source: MMCL (arXiv 2407.15706), the question of its feature refinement module.
    """

    name = "blip_vqa"
    pictures = "video"
    pool = "text"

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
        device: str = "auto",
        dtype: str = "auto",
    ) -> None:
        check_at_least(1, batch_size=batch_size, max_new_tokens=max_new_tokens)
        self._question = read_question(question, question_file)
        self._look = Looking(context, self.name, look)
        self._batch_size, self._max_new_tokens = batch_size, max_new_tokens
        checkpoint = find_checkpoint(model, "language.model")
        self.version = version("transformers")
        self._processor = checkpoint.processor()
        self._model = checkpoint.network("BlipForQuestionAnswering", device, dtype)
        self.settings: dict[str, Any] = {
            **checkpoint.settings,
            "question": self._question,
            "look": look,
            "max_new_tokens": max_new_tokens,
            "dtype": str(self._model.dtype).removeprefix("torch."),
        }
        self.cost = new_cost()

    def summary(self) -> str:
        """The cost of this process's work in a line."""
        return cost_in_words(self.settings["model"], self.cost)

    def texts(self, row: int, indices: np.ndarray) -> ClipTexts | None:
        """An answer per frame; None where the clip has no pictures.

        Raises:
            InputError: the batch does not fit into the memory of the device.
        """
        images = self._look(row, indices)
        if images is None:
            return None
        with fitting("language", self._batch_size, self._model.device):
            return ask_about(images, self._answer, self._batch_size, self.cost)

    def _answer(self, images: list[np.ndarray]) -> tuple[list[str], int, int]:
        from PIL import Image

        inputs = self._processor(
            images=[Image.fromarray(image) for image in images],
            text=[self._question] * len(images),
            padding=True,
            return_tensors="pt",
        ).to(self._model.device, dtype=self._model.dtype)
        with torch.inference_mode():
            out = self._model.generate(
                **inputs, max_new_tokens=self._max_new_tokens, do_sample=False, num_beams=1
            )
        said = self._processor.batch_decode(out, skip_special_tokens=True)
        written = int((out[:, 1:] != self._processor.tokenizer.pad_token_id).sum())  # less the start token
        return [text.strip() for text in said], written, int(inputs["attention_mask"].sum())
