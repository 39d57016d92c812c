"""What the language engines have in common that ask a model of ``transformers`` on this machine."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from kinelex.errors import InputError
from kinelex.models.transformers import find_checkpoint
from kinelex.prompts.base import ClipTexts, EngineContext
from kinelex.prompts.embed.pixels import fitting
from kinelex.prompts.engines.asking import (
    Looking,
    check_at_least,
    check_refused,
    cost_in_words,
    new_cost,
    read_question,
)


@dataclass(frozen=True)
class ModelOptions:
    """Which model is asked, and how; see the options of the engine ``vlm``."""

    model: str
    question: str
    question_file: Path | None
    look: str
    batch_size: int
    max_new_tokens: int
    refused: str
    device: str
    dtype: str


class LocalModel(ABC):
    """A model that answers a question about each frame; the same pictures give the same answers.

    Args:
        context: the store and the pictures of its clips.
        kind: the model's class in transformers.
        options: which model, and how it is asked.
        settings: what else changes the answers.
    """

    name: str
    pictures = "video"
    pool = "text"

    def __init__(self, context: EngineContext, kind: str, options: ModelOptions, **settings: Any) -> None:
        check_at_least(1, batch_size=options.batch_size, max_new_tokens=options.max_new_tokens)
        self._skip = check_refused(options.refused)
        self.question = read_question(options.question, options.question_file)
        self._look = Looking(context, self.name, options.look)
        self._store, self._options = context.store, options
        checkpoint = find_checkpoint(options.model, "language.model")
        self.version = version("transformers")
        self.processor = checkpoint.processor()
        self.network = checkpoint.network(kind, options.device, options.dtype)
        self.settings: dict[str, Any] = {
            **checkpoint.settings,
            "question": self.question,
            **settings,
            "look": options.look,
            "max_new_tokens": options.max_new_tokens,
            "dtype": str(self.network.dtype).removeprefix("torch."),
        }
        self.cost = new_cost()

    def summary(self) -> str:
        """The cost of this process's work in a line."""
        return cost_in_words(self.settings["model"], self.cost)

    def texts(self, row: int, indices: np.ndarray) -> ClipTexts | None:
        """An answer per frame; None where the clip has no pictures, or one is answered without a text."""
        images = self._look(row, indices)
        if images is None:
            return None
        started, texts, size = time.perf_counter(), list[str](), self._options.batch_size
        with fitting("language", size, self.network.device):
            for start in range(0, len(images), size):
                answers, tokens = self.answer(images[start : start + size])
                texts += [answer.strip() for answer in answers]
                for name, number in tokens.items():
                    self.cost[name] += number
        self.cost["clips"] += 1
        self.cost["seconds"] += time.perf_counter() - started
        if all(texts):
            return ClipTexts(texts)
        if self._skip:
            return None
        clip = f"clip {row}" if self._store is None else self._store.ids[row]
        raise InputError(
            f"{self.settings['model']} answers without a text about frame {indices[texts.index('')]} of "
            f"{clip}: language.refused=skip leaves such clips without texts; a larger "
            "language.max_new_tokens or another language.question may help"
        )

    @abstractmethod
    def answer(self, images: list[np.ndarray]) -> tuple[list[str], dict[str, int]]:
        """Answers about some pictures, and how many ``tokens`` were written and ``prompt_tokens`` read."""
