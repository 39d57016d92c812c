"""Language engine ``classes``: the names or descriptions of the classes, for guidance that uses labels."""

from pathlib import Path
from typing import Any

import numpy as np
import yaml

from kinelex.errors import InputError, check_name
from kinelex.files.bounded import bounded_text, safe_yaml
from kinelex.prompts.base import ClipTexts, EngineContext
from kinelex.prompts.clips import sample_frames


def read_descriptions(path: Path, class_names: tuple[str, ...]) -> dict[str, list[str]]:
    """Descriptions of classes from a YAML file of class names and texts (or lists of texts).

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "classes.yaml"
    >>> _ = path.write_text("carry: The arms hold something in front of the body.\\n")
    >>> read_descriptions(path, ("carry", "throw"))
    {'carry': ['The arms hold something in front of the body.']}
    """
    form = "expects a YAML file of class names and texts, one per line: carry: The arms hold something."
    try:
        content = safe_yaml(bounded_text(path))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"{path} cannot be read: {error}; {form}") from error
    if not isinstance(content, dict) or not content:
        raise InputError(f"{path}: {form}")
    out = {}
    for name, value in content.items():
        check_name(f"class in {path}", str(name), class_names)
        texts = [value] if isinstance(value, str) else value
        if not (isinstance(texts, list) and texts and all(isinstance(t, str) for t in texts)):
            raise InputError(f"{path}: class {name}: expects a text or a list of texts, got {value!r}")
        out[str(name)] = texts
    return out


class ClassesLanguage:
    """The name or description of each clip's class. Uses labels: not for self-supervised training.

    Args:
        descriptions: a YAML file of class names and descriptions, one text or a list of them; other classes
            go by their name.
        template: what is written, around {text}, the description or name, and {name}.
    """

    name = "classes"
    version = "1"
    pool = "text"

    def __init__(
        self, context: EngineContext, *, descriptions: Path | None = None, template: str = "{text}"
    ) -> None:
        self._store = context.clips("language engine classes")
        if not (self._store.labels >= 0).any():
            raise InputError(f"{self._store.path} has no labels, which language engine classes writes about")
        names = self._store.class_names
        texts = {} if descriptions is None else read_descriptions(Path(descriptions), names)
        expected = f"language.template expects {{text}} or {{name}} in braces, got {template!r}"
        try:
            self._texts = [
                [template.format(text=text, name=name) for text in texts.get(name, [name])] for name in names
            ]
        except (LookupError, ValueError, TypeError, AttributeError) as error:
            raise InputError(expected) from error
        if template.format(text="", name="") == template.format(text="x", name="x"):
            raise InputError(f"{expected}: all classes would get the same text")
        self.default_frames = max(map(len, self._texts))
        self.settings: dict[str, Any] = {"uses_labels": True, "template": template, "descriptions": texts}

    def texts(self, row: int, indices: np.ndarray) -> ClipTexts | None:
        """The texts of a clip's class, spread over the frames; None where the clip has no label."""
        label = int(self._store.labels[row])
        if label < 0:
            return None
        mine = self._texts[label]
        return ClipTexts([mine[i] for i in sample_frames(len(mine), len(indices))])
