"""The verb ``prompts``: its arguments, and a help that lists engines, encoders and their options."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from kinelex.cli.slurm import Job, array_words, command_of, write_job
from kinelex.errors import InputError
from kinelex.options import listed, shown_default, wrapped


def prompts(
    store: Path | None = None,
    *options: str,
    out: Path,
    language: str | None = None,
    vision: str | None = None,
    source: Path | None = None,
    pictures: str | None = None,
    frames: int | None = None,
    vision_frames: int | None = None,
    text_encoder: str = "minilm",
    image_encoder: str = "efficientnet_lite0",
    pool: str | None = None,
    keep: str = "none",
    tile_size: int = 320,
    shard: str | None = None,
    merge: bool = False,
    ray: str | None = None,
    workers: int | None = None,
    slurm: Path | None = None,
) -> dict[str, Any]:
    """Make knowledge prompts for every clip of a store. A killed run goes on where it stopped.

    Options of engines and encoders are written SECTION.KEY=VALUE, for example vision.image_size=96; they are
    listed below.

    Args:
        store: the skeleton store; texts needs none.
        options: SECTION.KEY=VALUE, options of engines and encoders.
        out: the prompt store to make.
        language: language engine, by a name below.
        vision: vision engine, by a name below.
        source: folder or file of raw data that the engines read.
        pictures: recorded frames for the engines that look at them, by a name below; by default what the
            engine prefers.
        frames: frames per clip that get a text; by default what the engine asks for, or 16.
        vision_frames: frames per clip that get an image; by default what the engine asks for.
        text_encoder: what embeds the texts.
        image_encoder: what embeds the images.
        pool: what is embedded, whole texts (text) or their sentences (sentences); by default what suits the
            engine.
        keep: what to keep of the images themselves: crops, tile (all of a clip in one), crops,tile or none.
        tile_size: side of a tile in pixels.
        shard: make share i of n of the work only, for example 3/8, for job arrays.
        merge: put the shares together when all are there; needs nothing but --out.
        ray: address of a Ray cluster whose workers share the work, or local to start one here.
        workers: how many Ray workers; by default one per GPU of the cluster, or one per core.
        slurm: write a job script for SLURM to this file, with --shard 1/n of n jobs, and make nothing.
    """
    share = None if shard is None else read_share(shard)
    if slurm is not None:
        words = array_words(command_of(prompts, locals()), share)
        return write_job(slurm, words, Job(out.stem, shares=share and share[1]))
    from kinelex.prompts import make_prompts, merge_prompts
    from kinelex.prompts.registry import split_options

    if merge:
        if shard is not None or ray is not None:
            raise InputError("--merge puts together what shares have made: leave out --shard and --ray")
        summary = merge_prompts(out)
    else:
        summary = make_prompts(
            store,
            out,
            language=language,
            vision=vision,
            source=source,
            pictures=pictures,
            frames=frames,
            vision_frames=vision_frames,
            text_encoder=text_encoder,
            image_encoder=image_encoder,
            pool=pool,
            keep=listed(keep),
            tile_size=tile_size,
            options=split_options(options),
            share=share,
            ray=ray,
            workers=workers,
        )
    print(summary)
    return asdict(summary)


def read_share(text: str) -> tuple[int, int]:
    """Share i of n, as written on the command line.

    >>> read_share("3/8")
    (3, 8)
    """
    i, slash, n = text.partition("/")
    if not (slash and i.isdecimal() and n.isdecimal() and 1 <= int(i) <= int(n)):
        raise InputError(f"--shard expects i/n with i from 1 to n, for example 3/8, got {text!r}")
    return int(i), int(n)


def parts_help() -> str:
    """Engines and encoders, what they are and their options, for the end of the help."""
    from kinelex.prompts.registry import SECTIONS, names, options_of, title_of

    lines: list[str] = []
    for section, kind in SECTIONS.items():
        if names(kind):
            lines.append(f"--{section.replace('_', '-')}, with options as {section}.KEY=VALUE:")
        for name in names(kind):
            lines += wrapped(f"{name:20}{title_of(kind, name)}", 2, 22)
            for key, (spelled, default, text) in options_of(kind, name).items():
                lines += wrapped(f"{key}={spelled}  {text.rstrip('.')}{shown_default(default)}", 22, 24)
    return "\n".join(lines)
