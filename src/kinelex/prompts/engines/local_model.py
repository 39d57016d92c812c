"""What the language engines have in common that ask a model of ``transformers`` on this machine."""

import time
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from kinelex.errors import InputError
from kinelex.prompts.base import ClipTexts
from kinelex.prompts.embed.pixels import fitting
from kinelex.prompts.engines.asking import Asking, check_at_least, cost_in_words, new_cost
from kinelex.prompts.from_checkpoint import FromCheckpoint


@dataclass(kw_only=True, eq=False)
class LocalModel(FromCheckpoint, Asking, ABC):
    """A model that answers a question about each frame; the same pictures give the same answers."""

    kind: ClassVar[str]  # the model's class in transformers
    section: ClassVar[str] = "language"

    def __post_init__(self) -> None:
        check_at_least(1, batch_size=self.batch_size)
        super().__post_init__()
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
