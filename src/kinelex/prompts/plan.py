"""What prompts are asked for, and the engines and encoders that make them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kinelex.data import PromptMeta, open_store
from kinelex.errors import InputError, check_name
from kinelex.prompts.base import EngineContext, FrameSource
from kinelex.prompts.clips import Clips
from kinelex.prompts.language import Language
from kinelex.prompts.registry import LANGUAGE, SECTIONS, TEXT_ENCODER, VISION, create, factory_of
from kinelex.prompts.shards import NOTES, Parts, parts_folder
from kinelex.prompts.stages import describe
from kinelex.prompts.vision import Vision

POOLS = ("sentences", "text")
KEEP = ("crops", "tile")
_FRAMES = 16  # texts per clip where the engine does not say


@dataclass(frozen=True)
class PromptOptions:
    """What :func:`kinelex.prompts.make_prompts` is asked for; it can be sent to another process.

    Args:
        store: the skeleton store; None for a language engine that knows its clips itself (``texts``).
        out: the prompt store to make.
        language, vision: engines by name, or None.
        source: folder or file of raw data, for engines that read it.
        pictures: where engines that look at recorded frames take them from: ``video``, ``depth``, ``render``;
            None takes what each prefers.
        frames: texts per clip, spread uniformly over it; one about the whole clip comes on top. None takes
            the engine's own number, or 16.
        vision_frames: pictures per clip; None takes the engine's own number.
        text_encoder, image_encoder: encoders by name.
        pool: ``sentences`` embeds each different sentence once and a text as the mean of its sentences;
            ``text`` embeds each different text as a whole. None takes what suits the engine.
        keep: what to keep of the pictures themselves, as JPEG: ``crops``, ``tile`` (all pictures of a clip
            in one, with sides of ``tile_size`` pixels).
        options: options of the engines and encoders by section, ``{"vision": {"image_size": 96}}``; sections
            are ``language``, ``vision``, ``pictures``, ``text_encoder`` and ``image_encoder``.

    Raises:
        InputError: nothing asked for, an unknown section of options, pool or thing to keep, or a number out
            of range.
    """

    store: Path | None
    out: Path
    language: str | None = "kinematic"
    vision: str | None = None
    source: Path | None = None
    pictures: str | None = None
    frames: int | None = None
    vision_frames: int | None = None
    text_encoder: str = "minilm"
    image_encoder: str = "efficientnet_lite0"
    pool: str | None = None
    keep: tuple[str, ...] = ()
    tile_size: int = 320
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("store", "out", "source"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, Path(getattr(self, name)))
        keep = (self.keep,) if isinstance(self.keep, str) else self.keep
        object.__setattr__(self, "keep", tuple(sorted({*keep} - {"none"})))
        if self.language is None and self.vision is None:
            raise InputError("nothing to do: name a language engine, a vision engine or both")
        if min(1 if f is None else f for f in (self.frames, self.vision_frames)) < 1:
            got = f"frames {self.frames}, vision frames {self.vision_frames}"
            raise InputError(f"expects at least 1 frame per clip, got {got}")
        for name, engine in (("frames", "language"), ("pool", "language"), ("vision_frames", "vision")):
            value = getattr(self, name)
            if getattr(self, engine) is None and value:
                option = name.replace("_", "-")
                raise InputError(f"--{option} {value} is given, but no engine: name one with --{engine}")
        for kind, given, known in (
            ("pool", filter(None, [self.pool]), POOLS),
            ("section of options", self.options, tuple(SECTIONS)),
            ("thing to keep of the pictures", self.keep, (*KEEP, "none")),
        ):
            for one in given:
                check_name(kind, one, known)
        if self.keep and self.vision is None:
            raise InputError("there are no pictures to keep: name a vision engine with --vision")
        if self.tile_size < 32:
            raise InputError(f"expects tiled pictures of at least 32 pixels, got tile size {self.tile_size}")


class PromptMakers:
    """The engines and encoders that were asked for, ready to work.

    ``notes`` is the folder beside the shards in which engines note what must survive a kill; processes that
    work at the same time have one each.
    """

    def __init__(self, asked: PromptOptions, notes: str = NOTES) -> None:
        self.asked = asked
        self._store = None if asked.store is None else open_store(asked.store)
        self._sources: dict[str, FrameSource] = {}
        self._journal = parts_folder(asked.out) / notes
        engines, widths = dict[str, dict[str, Any]](), dict[str, int]()
        self._check_pictures()
        self.vision = self.language = None
        if asked.vision is not None:  # before language, whose engine may look at its crops
            self.vision = self._engine("vision", asked.vision)
            self._images = self._create("image_encoder", asked.image_encoder)
        if asked.language is not None:
            self.language = self._engine("language", asked.language)
            self._texts = self._create("text_encoder", asked.text_encoder)
            frames = asked.frames or int(getattr(self.language, "default_frames", _FRAMES))
            engines["language"] = self._about("language", self.language, self._texts, frames)
            engines["language"]["pool"] = asked.pool or getattr(self.language, "pool", POOLS[0])
            widths["language"] = self._texts.width
        if self.vision is not None:
            frames = asked.vision_frames or self.vision.default_frames
            engines["vision"] = self._about("vision", self.vision, self._images, frames)
            engines["vision"] |= {"keep": list(asked.keep)} if asked.keep else {}
            engines["vision"] |= {"tile_size": asked.tile_size} if "tile" in asked.keep else {}
            widths["vision"] = self._images.width * self.vision.views
        self.clips = Clips.of_engine(self.language) if self._store is None else Clips.of_store(self._store)
        self.meta = PromptMeta(self.clips.dataset, self.clips.fingerprint, engines, widths, asked.keep)

    def jobs(self, parts: Parts) -> list[Language | Vision]:
        """The work to be done, shard by shard."""
        jobs: list[Language | Vision] = []
        if self.language is not None:
            jobs.append(Language(parts, self.language, self._texts))
        if self.vision is not None:
            jobs.append(Vision(parts, self.vision, self._images))
        return jobs

    def notes(self) -> list[str]:
        """What the engines say about their work, for example what it cost, and the sources of pictures."""
        engines: list[Any] = [e for e in (self.language, self.vision) if hasattr(e, "summary")]
        said = [e.summary() for e in engines if getattr(e, "cost", {}).get("clips", 1)]
        return said + [note for source in self._sources.values() for note in getattr(source, "notes", list)()]

    def _create(self, section: str, name: str, *args: Any) -> Any:
        return create(SECTIONS[section], name, *args, **self.asked.options.get(section, {}))

    def _engine(self, section: str, name: str) -> Any:
        source = self._frame_source(section, name)
        context = EngineContext(self._store, self.asked.source, source, self.vision, self._journal)
        return self._create(section, name, context)

    def _about(self, section: str, engine: Any, encoder: Any, frames: int) -> dict[str, Any]:
        about = {"engine": describe(engine), "encoder": describe(encoder), "frames": frames}
        source = self._frame_source(section, str(getattr(self.asked, section)))
        return about if source is None else {**about, "pictures": describe(source)}

    def _frame_source(self, section: str, name: str) -> FrameSource | None:
        """The recorded frames for an engine: those the user names, else those that it prefers."""
        preferred = getattr(factory_of(SECTIONS[section], name), "pictures", None)
        if preferred is None:
            return None
        chosen = self.asked.pictures or preferred
        if chosen not in self._sources:
            context = EngineContext(self._store, self.asked.source)
            self._sources[chosen] = self._create("pictures", chosen, context)
        return self._sources[chosen]

    def _check_pictures(self) -> None:
        """Refuse options and pictures that nothing looks at."""
        named = ((LANGUAGE, self.asked.language), (VISION, self.asked.vision))
        looks = [n for kind, n in named if n and getattr(factory_of(kind, n), "pictures", None)]
        if not looks and (self.asked.pictures or self.asked.options.get("pictures")):
            asked = " and ".join(n for _, n in named if n)
            raise InputError(f"{asked} looks at no recorded frames: leave out the pictures")
        for role, encoder in (("language", "text_encoder"), ("vision", "image_encoder")):
            for section in (role, encoder):
                if getattr(self.asked, role) is None and self.asked.options.get(section):
                    raise InputError(f"options of {section} are given, but no engine: name one with --{role}")


def last_jobs(asked: PromptOptions, parts: Parts) -> list[Language | Vision]:
    """What is left to do when all texts are there: their embeddings, for which no engine is loaded."""
    encoder = create(TEXT_ENCODER, asked.text_encoder, **asked.options.get("text_encoder", {}))
    return [Language(parts, encoder=encoder)]


def jobs_of(parts: Parts) -> list[Language | Vision]:
    """The work of a folder of shards, to look at it and to merge it; no engine is needed."""
    kinds: dict[str, type[Language] | type[Vision]] = {"language": Language, "vision": Vision}
    return [kinds[modality](parts) for modality in parts.meta.engines]
