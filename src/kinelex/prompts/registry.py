"""Engines and encoders by name, and their options: the keyword arguments of their constructors."""

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from kinelex import options
from kinelex.errors import check_name
from kinelex.options import Option, option_texts
from kinelex.registry import Registry

Factory = Callable[..., Any]
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
_BUILT_IN = {
    LANGUAGE: {
        "kinematic": "kinelex.prompts.engines.kinematic.engine:KinematicLanguage",
        "vlm": "kinelex.prompts.engines.vlm:VisionLanguageModel",
        "blip_vqa": "kinelex.prompts.engines.blip_vqa:BlipVQA",
        "openai": "kinelex.prompts.engines.openai:OpenAIServer",
        "texts": "kinelex.prompts.engines.texts:TextsLanguage",
        "captions": "kinelex.prompts.engines.texts:CaptionsLanguage",
        "classes": "kinelex.prompts.engines.classes:ClassesLanguage",
    },
    VISION: {
        "render": "kinelex.prompts.engines.render:RenderVision",
        "depth": "kinelex.prompts.engines.depth:DepthVision",
        "grounding_dino": "kinelex.prompts.engines.grounding_dino:GroundingDinoVision",
        "joints": "kinelex.prompts.engines.joints:JointsVision",
        "full": "kinelex.prompts.engines.full:FullVision",
    },
    PICTURES: {
        "video": "kinelex.prompts.video.video:VideoPictures",
        "depth": "kinelex.prompts.video.pictures:DepthPictures",
        "render": "kinelex.prompts.video.pictures:RenderPictures",
    },
    TEXT_ENCODER: {
        "minilm": "kinelex.models.minilm:MiniLM",
        "clip": "kinelex.prompts.embed.text_models:ClipText",
        "sentence": "kinelex.prompts.embed.text_models:SentenceEncoder",
    },
    IMAGE_ENCODER: {
        "efficientnet_lite0": "kinelex.prompts.embed.image_networks:EfficientNetLite0",
        "clip": "kinelex.prompts.embed.image_models:ClipImages",
        "image": "kinelex.prompts.embed.image_models:ImageModel",
        "timm:NAME": "kinelex.prompts.embed.image_networks:TimmImages",
    },
}
PARTS = {kind: Registry(kind, parts) for kind, parts in _BUILT_IN.items()}


def register(kind: str, name: str, factory: Factory) -> None:
    """Make an engine or encoder known by name.

    Args:
        kind: ``language engine``, ``vision engine``, ``pictures``, ``text encoder`` or ``image encoder``.
        name: the name that the command line and :func:`create` take.
        factory: for engines and pictures called with an :class:`EngineContext` first; its typed keyword
            arguments are the options that users may set.

    Raises:
        InputError: an unknown kind, or a name that is there already.
    """
    of_kind(kind).register(factory, name)


def of_kind(kind: str) -> Registry:
    """The engines or encoders of a kind; an InputError for an unknown one."""
    check_name("kind of prompt part", kind, PARTS)
    return PARTS[kind]


def names(kind: str) -> tuple[str, ...]:
    """Names known for a kind.

    >>> "render" in names("vision engine")
    True
    """
    return of_kind(kind).names()


def user_parts() -> dict[str, dict[str, Factory]]:
    """What was registered beside the built-ins, by kind and name: a worker process must be told."""
    return {k: {n: f for n, f in parts.items() if not isinstance(f, str)} for k, parts in PARTS.items()}


def factory_of(kind: str, name: str) -> Factory:
    """The class (or function) that makes an engine or encoder."""
    beginning, colon, _ = name.partition(":")
    free = f"{beginning}:{_FREE}"
    parts = of_kind(kind)
    return parts.find(free if colon and free in parts else name)


def create(kind: str, name: str, *args: Any, **options: Any) -> Any:
    """Make an engine (with its :class:`EngineContext`) or encoder by name.

    Its options are values, or their text as on the command line; unknown ones are refused.
    """
    factory = factory_of(kind, name)
    if name not in of_kind(kind):
        options = {"model": name.partition(":")[2], **options}
    return factory(*args, **read_options(kind, name, options))


def options_of(kind: str, name: str) -> dict[str, Option]:
    """The options of an engine or encoder: type, default and description of each.

    >>> options_of("vision engine", "render")["image_size"]
    ('int', 160, 'side of the square pictures in pixels.')
    """
    factory = factory_of(kind, name)
    return option_texts(factory, _no_options(kind, factory))


def title_of(kind: str, name: str) -> str:
    """What an engine or encoder is, the first line of its description.

    >>> title_of("language engine", "kinematic")
    'Sentences about posture and movement, computed from the joints'
    """
    return (inspect.getdoc(factory_of(kind, name)) or "").partition("\n")[0].rstrip(".")


def read_options(kind: str, name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Check options against the constructor's signature and turn texts into values of its types.

    >>> read_options("vision engine", "render", {"image_size": "96", "views": "front,side"})
    {'image_size': 96, 'views': ('front', 'side')}
    """
    factory = factory_of(kind, name)
    section = next(s for s, k in SECTIONS.items() if k == kind)
    return options.read_options(factory, given, f"{kind} {name}", section, _no_options(kind, factory))


def split_options(words: Iterable[str]) -> dict[str, dict[str, str]]:
    """Options as written on the command line, ``section.key=value``, by section.

    >>> split_options(["vision.image_size=96", "language.model=llava"])
    {'vision': {'image_size': '96'}, 'language': {'model': 'llava'}}
    """
    return options.split_options(words, SECTIONS, "vision.image_size=96", "prompts")


def _no_options(kind: str, factory: Factory) -> list[str]:
    """The parameters that are no options: the context that engines and pictures get first."""
    return [] if kind in (TEXT_ENCODER, IMAGE_ENCODER) else list(inspect.signature(factory).parameters)[:1]
