"""Language engine ``texts``: texts that somebody else's model wrote, from a file."""

import hashlib
import json
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from kinelex.errors import InputError
from kinelex.files.bounded import MOST_TEXT, bounded_bytes, safe_json
from kinelex.files.npy import bounded_member
from kinelex.prompts.base import ClipTexts, EngineContext
from kinelex.prompts.clips import sample_frames

_FORM = 'expects a JSON object of clip ids and lists of texts, {"clip": ["He sits.", ...], ...}'


def read_texts(path: Path) -> dict[str, list[str]]:
    """Texts by clip id, from a JSON file or from all JSON files in a zip; one may stand without a list.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "said.json"
    >>> _ = path.write_text('{"clip7": ["He sits.", "He reads."], "clip8": "He waves."}')
    >>> read_texts(path)
    {'clip7': ['He sits.', 'He reads.'], 'clip8': ['He waves.']}
    """
    if not path.is_file():
        there = "is a folder" if path.is_dir() else "does not exist"
        raise InputError(f"{path} {there}: language engine texts {_FORM}, or a zip that holds such files")
    texts: dict[str, list[str]] = {}
    for name, content in _files(path):
        try:
            clips = safe_json(content, surrogates=True)
        except ValueError as error:
            raise InputError(f"{name} is no JSON: {error}; {_FORM}") from error
        if not isinstance(clips, dict) or not clips:
            raise InputError(f"{name}: {_FORM}, got {str(clips)[:60]!r}")
        for clip, value in clips.items():
            mine = [value] if isinstance(value, str) else value
            if not (isinstance(mine, list) and mine and all(isinstance(t, str) for t in mine)):
                raise InputError(f"{name}: clip {clip}: {_FORM}, got {str(value)[:60]!r}")
            for k, text in enumerate(mine, 1):
                if not text.strip():
                    nothing = f"text {k} is empty, which says nothing about the clip: leave it out"
                    raise InputError(f"{name}: clip {clip}: {nothing}")
            if texts.setdefault(clip, mine) != mine:
                raise InputError(f"{name}: clip {clip} has other texts in another file of {path}")
    return texts


def _files(path: Path) -> Iterator[tuple[str, bytes]]:
    """The JSON files: this one, or those in it."""
    if not zipfile.is_zipfile(path):
        content = bounded_bytes(path)
        if content.startswith(b"PK\x03\x04"):
            raise InputError(f"{path} cannot be unpacked: its end is missing, was it copied completely?")
        yield str(path), content
        return
    try:
        with zipfile.ZipFile(path) as archive:
            inside = [name for name in archive.namelist() if not name.startswith("__MACOSX")]
            names = sorted(name for name in inside if name.endswith(".json"))
            if not names:
                raise InputError(f"{path} holds no .json file: {_FORM}")
            left = MOST_TEXT
            for name in names:
                member = bounded_member(archive, name, left)
                left -= member.file_size
                yield f"{path}: {name}", archive.read(member)
    except InputError:
        raise
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, RuntimeError, OSError) as error:
        raise InputError(f"{path} cannot be unpacked: {error or 'a member ends too early'}") from error


class TextsLanguage:
    """Texts from a JSON file (clip id to list of texts) or a zip of such files; needs no skeleton store.

    Args:
        file: the file, where the source is another folder.

    Source: the form of the texts that the authors of C2VL (arXiv 2405.20606) released.
    """

    name = "texts"
    version = "1"
    pool = "text"

    def __init__(self, context: EngineContext, *, file: Path | None = None) -> None:
        path = file or context.source
        if path is None:
            raise InputError("language engine texts reads a file: name it with --source FILE")
        self._take(read_texts(Path(path)))
        self.ids = list(self._texts) if context.store is None else context.store.ids
        self.dataset = Path(path).stem
        if not any(clip in self._texts for clip in self.ids):
            ids = f"its first id is {next(iter(self._texts))}, the store's is {self.ids[0]}"
            raise InputError(f"{path} has no texts for any clip of {context.clips(self.name).path}: {ids}")

    def _take(self, texts: dict[str, list[str]]) -> None:
        self._texts = texts
        content = json.dumps(texts, sort_keys=True).encode()
        self.settings: dict[str, Any] = {"content": hashlib.sha256(content).hexdigest()[:16]}
        self.default_frames = max(map(len, texts.values()))

    def texts(self, row: int, indices: np.ndarray) -> ClipTexts | None:
        """A clip's texts, spread over the frames; None where the file has none of it.

        A clip with fewer texts than frames repeats some, one with more leaves some out, both evenly.
        """
        mine = self._texts.get(self.ids[row])
        if mine is None:
            return None
        return ClipTexts([mine[i] for i in sample_frames(len(mine), len(indices))])


class CaptionsLanguage(TextsLanguage):
    """The captions that the clips of a store came with; of several lines each is a text."""

    name = "captions"

    def __init__(self, context: EngineContext) -> None:
        store = context.clips(self.name)
        self.ids, self.dataset = store.ids, store.meta.dataset
        pairs = zip(store.ids, store.captions, strict=True)
        lines = {clip: [line.strip() for line in (words or "").splitlines()] for clip, words in pairs}
        texts = {clip: said for clip, all_lines in lines.items() if (said := [*filter(None, all_lines)])}
        if not texts:
            raise InputError(
                f"no clip of {store.path} has a caption: take another language engine, such as kinematic"
            )
        self._take(texts)
