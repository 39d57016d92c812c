"""Engines and encoders by name, and their options: the keyword arguments of their constructors."""

from __future__ import annotations

import inspect
import json
import re
import typing
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from pathlib import PurePath
from typing import Any

from docstring_parser import parse as parse_docstring

from kinelex.errors import InputError, unknown_name

Factory = Callable[..., Any]
Option = tuple[str, Any, str]  # type, default, description
LANGUAGE, VISION, PICTURES = "language engine", "vision engine", "pictures"
TEXT_ENCODER, IMAGE_ENCODER = "text encoder", "image encoder"
# What options are called on the command line, ``vision.image_size=96``, and whose they are.
SECTIONS = {
    "language": LANGUAGE,
    "vision": VISION,
    "pictures": PICTURES,
    "text_encoder": TEXT_ENCODER,
    "image_encoder": IMAGE_ENCODER,
}
_FREE = "NAME"  # ``timm:NAME`` is known: whatever stands in its place goes to the option ``model``

# Built-ins are named by module, so that nothing heavy is imported before it is asked for.
_KNOWN: dict[str, dict[str, str | Factory]] = {
    LANGUAGE: {
        "kinematic": "kinelex.prompts.kinematic:KinematicLanguage",
        "vlm": "kinelex.prompts.vlm:VisionLanguageModel",
        "blip_vqa": "kinelex.prompts.blip_vqa:BlipVQA",
        "openai": "kinelex.prompts.openai:OpenAIServer",
        "texts": "kinelex.prompts.texts:TextsLanguage",
        "classes": "kinelex.prompts.classes:ClassesLanguage",
    },
    VISION: {
        "render": "kinelex.prompts.render:RenderVision",
        "depth": "kinelex.prompts.depth:DepthVision",
        "grounding_dino": "kinelex.prompts.grounding_dino:GroundingDinoVision",
        "joints": "kinelex.prompts.joints:JointsVision",
        "full": "kinelex.prompts.full:FullVision",
    },
    PICTURES: {
        "video": "kinelex.prompts.video:VideoPictures",
        "depth": "kinelex.prompts.pictures:DepthPictures",
        "render": "kinelex.prompts.pictures:RenderPictures",
    },
    TEXT_ENCODER: {
        "minilm": "kinelex.prompts.minilm:MiniLM",
        "clip": "kinelex.prompts.clip_text:ClipText",
        "sentence": "kinelex.prompts.sentence:SentenceEncoder",
    },
    IMAGE_ENCODER: {
        "efficientnet_lite0": "kinelex.prompts.efficientnet:EfficientNetLite0",
        "clip": "kinelex.prompts.image_models:ClipImages",
        "image": "kinelex.prompts.image_models:ImageModel",
        "timm:NAME": "kinelex.prompts.timm_images:TimmImages",
    },
}


def register(kind: str, name: str, factory: Factory) -> None:
    """Make an engine or encoder known by name.

    Args:
        kind: ``language engine``, ``vision engine``, ``pictures``, ``text encoder`` or ``image encoder``.
        name: the name that the command line and :func:`create` take.
        factory: for engines and pictures called with an :class:`EngineContext` first; its typed keyword
            arguments are the options that users may set.

    Raises:
        InputError: an unknown kind.
    """
    _of_kind(kind)[name] = factory


def names(kind: str) -> tuple[str, ...]:
    """Names known for a kind.

    Raises:
        InputError: an unknown kind.

    >>> "render" in names("vision engine")
    True
    """
    return tuple(sorted(_of_kind(kind)))


def own_parts() -> dict[str, dict[str, Factory]]:
    """What was registered beside the built-ins, by kind and name: a worker process must be told."""
    return {k: {n: f for n, f in known.items() if not isinstance(f, str)} for k, known in _KNOWN.items()}


def factory_of(kind: str, name: str) -> Factory:
    """The class (or function) that makes an engine or encoder.

    Raises:
        InputError: an unknown kind or name.
    """
    known = _of_kind(kind)
    key = name if name in known else f"{name.partition(':')[0]}:{_FREE}"
    if key not in known:
        raise unknown_name(kind, name, known)
    factory = known[key]
    if isinstance(factory, str):
        module, _, attribute = factory.partition(":")
        return getattr(import_module(module), attribute)
    return factory


def create(kind: str, name: str, *args: Any, **options: Any) -> Any:
    """Make an engine or encoder by name.

    Args:
        kind: see :func:`register`.
        name: its name.
        args: for engines the :class:`EngineContext`.
        options: values, or their text as on the command line.

    Raises:
        InputError: an unknown kind, name or option; or what the engine itself objects to.
    """
    factory = factory_of(kind, name)
    if name not in _of_kind(kind):
        options = {"model": name.partition(":")[2], **options}
    return factory(*args, **read_options(kind, name, options))


def options_of(kind: str, name: str) -> dict[str, Option]:
    """The options of an engine or encoder: type, default and description of each.

    Raises:
        InputError: an unknown kind or name.

    >>> options_of("vision engine", "render")["image_size"]
    ('int', 160, 'side of the square pictures in pixels.')
    """
    factory = factory_of(kind, name)
    doc = parse_docstring(inspect.getdoc(factory) or "")
    texts = {p.arg_name: " ".join((p.description or "").split()) for p in doc.params}
    found = _parameters(kind, factory)
    return {n: (_spelled(p.annotation), p.default, texts.get(n, "")) for n, p in found.items()}


def title_of(kind: str, name: str) -> str:
    """What an engine or encoder is, the first line of its description.

    Raises:
        InputError: an unknown kind or name.

    >>> title_of("language engine", "kinematic")
    'Sentences about posture and movement, computed from the joints'
    """
    doc = parse_docstring(inspect.getdoc(factory_of(kind, name)) or "")
    return (doc.short_description or "").rstrip(".").replace("\n", " ")


def read_options(kind: str, name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Check options against the constructor's signature and turn texts into values of its types.

    Raises:
        InputError: an unknown option (with the closest match), or a value of the wrong type.

    >>> read_options("vision engine", "render", {"image_size": "96", "views": "front,side"})
    {'image_size': 96, 'views': ('front', 'side')}
    """
    from jsonargparse import ArgumentError, ArgumentParser

    factory = factory_of(kind, name)
    known = _parameters(kind, factory)
    for key in given:
        if key not in known:
            raise unknown_name(f"option of {kind} {name}", key, known)
    section = next(s for s, k in SECTIONS.items() if k == kind)
    types = inspect.signature(factory, eval_str=True).parameters
    out = {}
    for key, value in given.items():
        text = str(value) if isinstance(value, str | PurePath) else json.dumps(value, default=str)
        if _takes_list(types[key].annotation) and not text.startswith(("[", "null")):
            text = f"[{text}]"
        parser = ArgumentParser(exit_on_error=False)
        add = parser.add_class_arguments if isinstance(factory, type) else parser.add_function_arguments
        add(factory, None, skip={n for n in types if n != key}, fail_untyped=False)
        try:
            out[key] = parser.parse_args([f"--{key}={text}"]).as_dict()[key]
        except ArgumentError as error:
            wanted = _spelled(known[key].annotation)
            raise InputError(f"{section}.{key} expects {wanted}, got {value!r}") from error
    for key, parameter in known.items():
        if parameter.default is inspect.Parameter.empty and key not in out:
            raise InputError(
                f"{kind} {name} cannot do without {section}.{key}={_spelled(parameter.annotation)}"
            )
    return out


def split_options(words: Iterable[str]) -> dict[str, dict[str, str]]:
    """Options as written on the command line, ``section.key=value``, by section.

    Raises:
        InputError: another form, or an unknown section.

    >>> split_options(["vision.image_size=96", "language.model=llava"])
    {'vision': {'image_size': '96'}, 'language': {'model': 'llava'}}
    """
    out: dict[str, dict[str, str]] = {}
    for word in words:
        key, equals, value = word.partition("=")
        section, dot, option = key.partition(".")
        if not (equals and dot):
            raise InputError(
                f"does not know what {word!r} means: expects options as SECTION.KEY=VALUE, for example "
                "vision.image_size=96; see `kinelex prompts --help`"
            )
        section, option = section.replace("-", "_"), option.replace("-", "_")
        if section not in SECTIONS:
            raise unknown_name("section of options", section, SECTIONS)
        out.setdefault(section, {})[option] = value
    return out


def _parameters(kind: str, factory: Factory) -> dict[str, inspect.Parameter]:
    """The parameters that are options: all but the context that engines and pictures get first."""
    parameters = dict(inspect.signature(factory).parameters)
    if kind not in (TEXT_ENCODER, IMAGE_ENCODER):
        parameters.pop(next(iter(parameters), ""), None)
    return parameters


def _takes_list(hint: Any) -> bool:
    hints = typing.get_args(hint) if type(None) in typing.get_args(hint) else (hint,)
    return any((typing.get_origin(h) or h) in (list, tuple) for h in hints)


def _spelled(annotation: Any) -> str:
    """A type as a user reads it.

    >>> _spelled("tuple[str, ...]"), _spelled(int), _spelled("float | None")
    ('list of str', 'int', 'float or none')
    """
    text = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", str(annotation))
    text = re.sub(r"(?:list|tuple|Sequence)\[(\w+)[^\]]*\]", r"list of \1", text)
    return text.replace(" | ", " or ").replace("None", "none")


def _of_kind(kind: str) -> dict[str, str | Factory]:
    if kind not in _KNOWN:
        raise unknown_name("kind of prompt part", kind, _KNOWN)
    return _KNOWN[kind]
