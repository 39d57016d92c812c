"""The verb ``prompts``: its arguments, and a help that lists engines, encoders and their options."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any


def prompts(
    store: Path,
    *options: str,
    out: Path,
    language: str | None = None,
    vision: str | None = None,
    source: Path | None = None,
    frames: int = 16,
    vision_frames: int | None = None,
    text_encoder: str = "minilm",
    image_encoder: str = "efficientnet_lite0",
    json: Path | None = None,
) -> None:
    """Make knowledge prompts for every clip of a store. A killed run goes on where it stopped.

    Options of engines and encoders are written SECTION.KEY=VALUE, for example vision.image_size=96; they are
    listed below.

    Args:
        store: the skeleton store.
        options: options of engines and encoders.
        out: the prompt store to make.
        language: language engine.
        vision: vision engine.
        source: folder or file of raw data that the engines read.
        frames: frames per clip that get a text.
        vision_frames: frames per clip that get an image; by default what the engine asks for.
        text_encoder: what embeds the texts.
        image_encoder: what embeds the images.
        json: also write the numbers to this file.
    """
    from dataclasses import asdict

    from kinelex._command_line import write_json
    from kinelex.prompts import make_prompts
    from kinelex.prompts.registry import split_options

    summary = make_prompts(
        store,
        out,
        language=language,
        vision=vision,
        source=source,
        frames=frames,
        vision_frames=vision_frames,
        text_encoder=text_encoder,
        image_encoder=image_encoder,
        options=split_options(options),
    )
    print(summary)
    write_json(json, asdict(summary))


def parts_help() -> str:
    """Engines and encoders, what they are and their options, for the end of the help."""
    from kinelex.prompts.registry import SECTIONS, names, options_of, title_of

    lines: list[str] = []
    for section, kind in SECTIONS.items():
        if names(kind):
            lines.append(f"--{section.replace('_', '-')}, with options as {section}.KEY=VALUE:")
        for name in names(kind):
            lines += _wrapped(f"{name:20}{title_of(kind, name)}", 2, 22)
            for key, (spelled, default, text) in options_of(kind, name).items():
                lines += _wrapped(f"{key}={spelled}  {text.rstrip('.')}{_shown(default)}", 22, 24)
    return "\n".join(lines)


def _wrapped(text: str, first: int, then: int) -> list[str]:
    return textwrap.wrap(text, 110, initial_indent=" " * first, subsequent_indent=" " * then)


def _shown(default: Any) -> str:
    if default is None:
        return ""
    if isinstance(default, tuple | list):
        default = ",".join(map(str, default))
    return f" (default: {default})"
