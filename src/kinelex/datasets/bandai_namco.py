"""Reader of Bandai-Namco-Research-Motiondataset-1: what one actor does, in many styles, by motion capture.

``data/dataset-1_CONTENT_STYLE_NNN.bvh``, 30 frames per second, centimetres. The joints of the hierarchy are
those of the layout ``bandai21``; its root and the ends of bones are left out.

Source: Kobayashi, Liao, Inoue, Yojima, Takahashi: Motion capture dataset for practical use of AI-based motion
editing and stylization, 2023, arXiv 2306.08861.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np

from kinelex.data import Sequence
from kinelex.datasets.formats.bvh import read_bvh
from kinelex.datasets.reader import FilesReader, Item, Skipped
from kinelex.errors import InputError, unknown_name
from kinelex.skeleton import get_layout

CONTENTS = {  # in the files' names: what the actor does
    "walk": "walks",
    "run": "runs",
    "dash": "dashes forward",
    "walk-back": "walks backwards",
    "walk-left": "walks to the left",
    "walk-right": "walks to the right",
    "bow": "bows",
    "bye": "waves goodbye with one hand",
    "byebye": "waves goodbye with both hands",
    "guide": "shows the way with one arm",
    "respond": "responds to a call",
    "call": "calls somebody over",
    "kick": "kicks",
    "punch": "punches",
    "slash": "slashes with a weapon",
    "dance-short": "dances",
    "dance-long": "dances for long",
}
STYLES = {  # how; the files have other names for two of them than the README
    "normal": "",
    "happy": "happily",
    "sad": "sadly",
    "angry": "angrily",
    "proud": "proudly",
    "not-confident": "without confidence",
    "masculinity": "in a masculine way",
    "feminine": "in a feminine way",
    "childish": "like a child",
    "children": "like a child",
    "old": "like an old person",
    "tired": "tired",
    "active": "full of energy",
    "musical": "as in a musical",
    "giant": "heavily, like a giant",
    "chimpira": "like a hoodlum",
}
_NAME = re.compile(r"dataset-1_(?P<content>[a-z-]+)_(?P<style>[a-z-]+)_(?P<number>\d{3})")


class BandaiNamcoReader(FilesReader):
    """Reader of Bandai-Namco-Research-Motiondataset-1.

    The class is what the actor does; ``setup`` is the number of the style, from 1, and ``caption`` says both.

    Args:
        source: the folder that holds data/.
    """

    dataset = "bandai_namco"
    expected = "the files data/dataset-1_CONTENT_STYLE_NNN.bvh"
    layout = "bandai21"
    pattern = "dataset-1_*.bvh"

    @classmethod
    def class_names(cls) -> tuple[str, ...]:
        return tuple(name.replace("-", " ") for name in CONTENTS)

    def read(self, item: Item) -> Iterator[Sequence | Skipped]:
        match = _NAME.fullmatch(item.path.stem)
        if match is None:
            form = "expects dataset-1_CONTENT_STYLE_NNN.bvh"
            raise InputError(f"{item.path}: the name does not parse, {form}")
        content, style = match["content"], match["style"]
        for kind, name, known in (("content", content, CONTENTS), ("style", style, STYLES)):
            if name not in known:
                raise InputError(f"{item.path}: {unknown_name(kind, name, known)}")
        bvh, layout = read_bvh(item.path), get_layout(self.layout)
        own = bvh.layout(self.dataset)
        missing = [joint for joint in layout.joints if joint not in own.joints]
        if missing:
            raise InputError(f"{item.path}: the hierarchy lacks {', '.join(missing)}")
        places = bvh.positions()[:, [own.index(joint) for joint in layout.joints]] / 100
        yield Sequence(
            id=item.path.stem.removeprefix("dataset-1_"),
            coordinates=places.astype(np.float32)[:, None],
            label=list(CONTENTS).index(content),
            setup=list(STYLES).index(style) + 1,
            replication=int(match["number"]),
            caption=" ".join(f"A person {CONTENTS[content]} {STYLES[style]}".split()) + ".",
            fps=bvh.fps,
        )
