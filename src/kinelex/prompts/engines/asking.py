"""The question, what it looks at, the cost."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import numpy as np

from kinelex.errors import InputError, check_name
from kinelex.prompts.base import EngineContext

# What C2VL's answers are about, in our own words: posture, held objects, intent.
QUESTION = (
    "Look at the person in the picture. Answer in three short sentences: what is the posture, "
    "what do the hands hold, and what is the person trying to do?"
)
LOOKS = ("full", "crop")
Cost = dict[str, float]


def new_cost() -> Cost:
    """What an engine has used so far: nothing."""
    return {"seconds": 0.0, "tokens": 0, "prompt_tokens": 0, "clips": 0}


def cost_in_words(model: str, cost: Cost) -> str:
    """The cost of an engine's work in a line.

    >>> cost_in_words("llava", {"seconds": 8.0, "tokens": 640, "prompt_tokens": 9000, "clips": 2})
    'llava: 4 s a clip, 2 clips; 9000 tokens read, 640 written'
    """
    each = cost["seconds"] / cost["clips"] if cost["clips"] else 0.0
    return (
        f"{model}: {each:.3g} s a clip, {cost['clips']:.0f} clips; "
        f"{cost['prompt_tokens']:.0f} tokens read, {cost['tokens']:.0f} written"
    )


def read_question(question: str, question_file: Path | None) -> str:
    """The question: from the file where one is named.

    >>> read_question(" What is held? ", None)
    'What is held?'
    """
    if question_file is not None:
        try:
            question = Path(os.path.expanduser(question_file)).read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            form = "language.question_file expects a text file in UTF-8"
            raise InputError(f"{form}, got {question_file}: {error}") from error
    if not question.strip():
        raise InputError(f"expects a question, got an empty one from {question_file or 'language.question'}")
    return question.strip()


def check_at_least(least: float, **numbers: float) -> None:
    """Refuse options that are too small.

    >>> check_at_least(1, batch_size=0)
    Traceback (most recent call last):
    kinelex.errors.InputError: language.batch_size expects at least 1, got 0
    """
    for name, number in numbers.items():
        if number < least:
            raise InputError(f"language.{name} expects at least {least}, got {number}")


def _cut(frame: np.ndarray, box: np.ndarray) -> np.ndarray:
    """What lies in a box, which may reach over the border; the whole frame where nothing would be left.

    >>> _cut(np.zeros((10, 20, 3)), np.array([4.5, -2.0, 9.0, 5.0])).shape
    (5, 5, 3)
    """
    height, width = frame.shape[:2]
    x0, y0 = np.floor(box[:2]).astype(int).clip(0)
    x1, y1 = np.ceil(box[2:]).astype(int).clip(0, (width, height))
    return frame[y0:y1, x0:x1] if x1 > x0 and y1 > y0 else frame


@dataclass(kw_only=True, eq=False)
class Asking:
    """What is asked about the pictures of a clip; the fields, also of subclasses, are the user's options.

    Args:
        question: what is asked about each picture.
        question_file: a text file with the question, in the place of ``question``.
        look: full frames, or the crop of the run's vision engine.
        max_new_tokens: where an answer is cut off, in tokens.
        refused: what becomes of a clip with a picture about which the model says nothing: stop the run, or
            skip the clip, which then has no texts.
    """

    name: ClassVar[str]
    pictures = "video"
    pool = "text"
    context: EngineContext = field(kw_only=False)
    question: str = QUESTION
    question_file: Path | None = None
    look: str = "full"
    max_new_tokens: int = 96
    refused: str = "stop"

    def __post_init__(self) -> None:
        check_at_least(1, max_new_tokens=self.max_new_tokens)
        if self.refused not in ("stop", "skip"):
            raise InputError(f"language.refused expects stop or skip, got {self.refused!r}")
        self._skip = self.refused == "skip"
        self.question = read_question(self.question, self.question_file)
        check_name("language.look", self.look, LOOKS)
        if self.look == "crop" and self.context.vision is None:
            boxes = "the boxes of the vision engine of the same run: name one"
            raise InputError(f"language.look=crop takes {boxes}, for example --vision grounding_dino")
        self._source = self.context.frames(f"language engine {self.name}")

    def _look(self, row: int, indices: np.ndarray) -> list[np.ndarray] | None:
        """P pictures (H, W, 3) uint8 of a clip, of different sizes; None where it has none.

        With ``crop`` what the run's vision engine cuts out; where that found nobody, the whole frame.
        """
        frames = self._source.frames(row, indices)
        if frames is None:
            return None
        vision = self.context.vision if self.look == "crop" else None
        crops = None if vision is None else vision.crops(row, indices)
        if crops is None:
            return list(frames)
        return [_cut(frame, box) for frame, box in zip(frames, crops.boxes, strict=True)]
