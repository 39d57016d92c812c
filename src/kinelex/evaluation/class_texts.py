"""Texts of classes, and their embeddings by the encoder that embedded a run's prompts."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from pathlib import Path

from kinelex.errors import InputError
from kinelex.files.bounded import packaged_names, safe_yaml
from kinelex.prompts.engines.classes import read_descriptions

NAMES, AUTO = "names", "auto"


def class_text_names() -> tuple[str, ...]:
    """Data sets whose classes this package describes.

    >>> class_text_names()
    ('utd_mhad',)
    """
    return packaged_names(resources.files("kinelex.evaluation").joinpath("class_texts"))


def class_texts(given: str, dataset: str, class_names: Sequence[str]) -> tuple[str, list[list[str]]]:
    """One or more texts of each class.

    Args:
        given: ``names``, a name of :func:`class_text_names`, a YAML file of class names and texts, or
            ``auto``: the package's texts of this data set, the names where it does not describe all classes.
        dataset: the data set.
        class_names: its classes; one that is not in the file goes by its name.

    Returns:
        What was taken, and the texts by class.

    Raises:
        InputError: no such file, another form, or a class that is not there.

    >>> class_texts("names", "actors", ("jump", "wave"))
    ('names', [['jump'], ['wave']])
    """
    if given == AUTO:
        described = dataset in class_text_names() and set(class_names) <= _package_texts(dataset).keys()
        given = dataset if described else NAMES
    if given == NAMES:
        return given, [[name] for name in class_names]
    if given in class_text_names():
        texts = _package_texts(given)
        if not texts.keys() & set(class_names):
            raise InputError(f"the texts of the classes of {given} describe none of the classes of {dataset}")
    elif Path(given).is_file():
        texts = read_descriptions(Path(given), tuple(class_names))
    else:
        known = ", ".join((AUTO, NAMES, *class_text_names()))
        raise InputError(f"there are no texts of classes {given!r}: expects {known}, or a YAML file")
    return given, [texts.get(name, [name]) for name in class_names]


def _package_texts(name: str) -> dict[str, list[str]]:
    folder = resources.files("kinelex.evaluation").joinpath("class_texts")
    texts = safe_yaml(folder.joinpath(f"{name}.yaml").read_text(encoding="utf-8"))
    return {of: [text] for of, text in texts.items()}
