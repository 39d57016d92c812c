"""Language engine ``blip_vqa``: BLIP answers a question about each picture in a word or two, as in MMCL."""

from dataclasses import dataclass

import numpy as np
import torch

from kinelex.prompts.engines.local_model import LocalModel


@dataclass(kw_only=True, eq=False)
class BlipVQA(LocalModel):
    """BLIP for visual question answering gives a short answer about each frame.

    Args:
        model: folder or hub id of a BLIP checkpoint for question answering.

    Source: MMCL (arXiv 2407.15706), the question of its feature refinement module.
    """

    name = "blip_vqa"
    kind = "BlipForQuestionAnswering"
    model: str = "Salesforce/blip-vqa-base"
    question: str = "Are the people holding objects?"
    batch_size: int = 16
    max_new_tokens: int = 16

    def answer(self, images: list[np.ndarray]) -> tuple[list[str], dict[str, int]]:
        """Answers about some pictures, and the tokens that they cost."""
        from PIL import Image

        pictures = [Image.fromarray(image) for image in images]
        asked = [self.question] * len(images)
        inputs = self.processor(images=pictures, text=asked, padding=True, return_tensors="pt")
        inputs = inputs.to(self.network.device, dtype=self.network.dtype)
        limits = {"max_new_tokens": self.max_new_tokens, "do_sample": False, "num_beams": 1}
        with torch.inference_mode():
            out = self.network.generate(**inputs, **limits)
        written = int((out[:, 1:] != self.processor.tokenizer.pad_token_id).sum())  # less the start token
        texts = self.processor.batch_decode(out, skip_special_tokens=True)
        return texts, {"tokens": written, "prompt_tokens": int(inputs["attention_mask"].sum())}
