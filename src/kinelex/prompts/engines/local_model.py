"""What the language engines have in common that ask a model of ``transformers`` on this machine."""

import time
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from kinelex.errors import InputError
from kinelex.prompts.base import ClipTexts, EngineContext
from kinelex.prompts.embed.pixels import fitting
from kinelex.prompts.engines.asking import (
    QUESTION,
    Looking,
    check_at_least,
    check_refused,
    cost_in_words,
    new_cost,
    read_question,
)
from kinelex.prompts.from_checkpoint import FromCheckpoint


@dataclass(kw_only=True, eq=False)
class LocalModel(FromCheckpoint, ABC):
    """A model that answers a question about each frame; the same pictures give the same answers.

    Args:
        context: the store and the pictures of its clips.
        question: what is asked about each picture.
        question_file: a text file with the question, in the place of ``question``.
        look: full frames, or the crop of the run's vision engine.
        max_new_tokens: where an answer is cut off, in tokens.
        refused: what becomes of a clip with a picture about which the model says nothing: stop the run, or
            skip the clip, which then has no texts.
    """

    name: ClassVar[str]
    kind: ClassVar[str]  # the model's class in transformers
    section: ClassVar[str] = "language"
    pictures = "video"
    pool = "text"
    context: EngineContext = field(kw_only=False)
    question: str = QUESTION
    question_file: Path | None = None
    look: str = "full"
    max_new_tokens: int = 96
    refused: str = "stop"

    def __post_init__(self) -> None:
        check_at_least(1, batch_size=self.batch_size, max_new_tokens=self.max_new_tokens)
        self._skip = check_refused(self.refused)
        self.question = read_question(self.question, self.question_file)
        self._look = Looking(self.context, self.name, self.look)
        self.processor = self.checkpoint.processor()
        self.network = self.load(self.kind)
        own = {"look": self.look, "max_new_tokens": self.max_new_tokens}
        self.settings = self.all_settings(
            self.network, question=self.question, **self.prompt_settings(), **own
        )
        self.cost = new_cost()

    def prompt_settings(self) -> dict[str, Any]:
        """What else of the prompt changes the answers."""
        return {}

    def summary(self) -> str:
        """The cost of this process's work in a line."""
        return cost_in_words(self.settings["model"], self.cost)

    def texts(self, row: int, indices: np.ndarray) -> ClipTexts | None:
        """An answer per frame; None where the clip has no pictures, or one is answered without a text."""
        images = self._look(row, indices)
        if images is None:
            return None
        started, texts = time.perf_counter(), list[str]()
        with fitting("language", self.batch_size, self.network.device):
            for start in range(0, len(images), self.batch_size):
                answers, tokens = self.answer(images[start : start + self.batch_size])
                texts += [answer.strip() for answer in answers]
                for name, number in tokens.items():
                    self.cost[name] += number
        self.cost["clips"] += 1
        self.cost["seconds"] += time.perf_counter() - started
        if all(texts):
            return ClipTexts(texts)
        if self._skip:
            return None
        store = self.context.store
        raise InputError(
            f"{self.settings['model']} answers without a text about frame {indices[texts.index('')]} of "
            f"{f'clip {row}' if store is None else store.ids[row]}: language.refused=skip leaves such clips "
            "without texts; a larger language.max_new_tokens or another language.question may help"
        )

    @abstractmethod
    def answer(self, images: list[np.ndarray]) -> tuple[list[str], dict[str, int]]:
        """Answers about some pictures, and how many ``tokens`` were written and ``prompt_tokens`` read."""
