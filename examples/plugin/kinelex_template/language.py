"""A language engine: ``kinelex prompts STORE --language tallest``."""

import numpy as np

from kinelex.prompts import ClipTexts, EngineContext, register


class TallestJoint:
    """Says which joint is highest in each frame.

    Args:
        context: the store.
        template: what is written around {joint}.
    """

    name = "tallest"
    version = "1"

    def __init__(self, context: EngineContext, *, template: str = "The {joint} is on top.") -> None:
        self.store = context.clips("language engine tallest")
        self.settings = {"template": template}

    def texts(self, row: int, indices: np.ndarray) -> ClipTexts:
        """A sentence per frame, none about the whole clip."""
        height = self.store.sequence(row)[indices, 0, :, 1]  # y of the first person: (P, V)
        joints = (self.store.layout.joints[v].replace("_", " ") for v in height.argmax(axis=1))
        return ClipTexts([self.settings["template"].format(joint=joint) for joint in joints])


register("language engine", "tallest", TallestJoint)
