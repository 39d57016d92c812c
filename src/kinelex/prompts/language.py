"""Texts of all clips, and the embeddings of what is in them."""

import re
from collections.abc import Iterable, Iterator
from functools import cached_property

import numpy as np

from kinelex.data import WHOLE_CLIP, ModalityPrompts
from kinelex.errors import InputError
from kinelex.prompts.base import ClipTexts, LanguageEngine, TextEncoder
from kinelex.prompts.journal import Journal
from kinelex.prompts.shards import Parts
from kinelex.prompts.stages import Advance, Meter, Stage

# Fixed, since an embedding may depend in its last bits on the batch it was computed in.
_CLIPS, _SENTENCES = 32, 512
_AT_A_TIME = 16  # shards whose clips an engine that does many at once gets together


def split_sentences(text: str) -> list[str]:
    """The sentences of a text.

    >>> split_sentences("He sits. Does he smile?  Yes")
    ['He sits.', 'Does he smile?', 'Yes']
    """
    return [s for s in re.split(r"(?<=[.!?])\s+", text.strip()) if s]


class Language:
    """The language prompts of a run: shards of texts, then of embeddings, each different sentence once.

    Engine and encoder are None where shards are only looked at.
    """

    modality = "language"

    def __init__(
        self, parts: Parts, engine: LanguageEngine | None = None, encoder: TextEncoder | None = None
    ) -> None:
        self.parts, self.engine, self.encoder = parts, engine, encoder
        settings = parts.meta.engines["language"]
        self._frames, self._whole = settings["frames"], settings["pool"] == "text"
        self.first = Stage("texts", len(parts.clips), _CLIPS, ".json", self._make_texts)

    @property
    def last(self) -> Stage:
        """The embeddings, which can be made when all texts are there."""
        return Stage("sentences", len(self._units), _SENTENCES, ".npz", self._make_vectors)

    def _make_texts(self, starts: list[int], advance: Advance) -> None:
        step = _AT_A_TIME if hasattr(self.engine, "texts_of") else 1
        for at in range(0, len(starts), step):
            self._make_some(starts[at : at + step], advance)

    def _make_some(self, starts: list[int], advance: Advance) -> None:
        journals = {s: Journal(self.parts.folder / f"texts-{s:08d}.jsonl") for s in starts}
        try:
            rows = {s: range(s, min(s + _CLIPS, self.first.total)) for s in starts}
            missing = [r for s in starts for r in rows[s] if r not in journals[s].entries]
            advance(sum(map(len, rows.values())) - len(missing))
            for start in starts:
                self._close_if_whole(start, rows[start], journals)
            meter = Meter(self.engine)
            for row, made in self._ask(missing):
                start = row - row % _CLIPS
                journals[start].note(row, self._checked(row, made))
                self._close_if_whole(start, rows[start], journals)
                advance(1)
            if journals:
                left = sorted(set(missing) - {r for j in journals.values() for r in j.entries})
                raise RuntimeError(f"engine {self.parts.meta.engines['language']} left out rows {left[:5]}")
            if missing:
                self.parts.write_json(self.first.cost_file(missing[0]), meter.read(len(missing)))
        finally:
            for journal in journals.values():
                journal.close()

    def _close_if_whole(self, start: int, rows: range, journals: dict[int, Journal]) -> None:
        """Turn a journal that has all clips of its shard into the shard."""
        if set(rows) <= journals[start].entries.keys():
            self.parts.write_json(self.first.file(start), [journals[start].entries[r] for r in rows])
            journals.pop(start).finish()

    def _ask(self, rows: list[int]) -> Iterable[tuple[int, ClipTexts | None]]:
        assert self.engine is not None
        indices = [self.parts.clips.frames(r, self._frames) for r in rows]
        if hasattr(self.engine, "texts_of"):
            return self.engine.texts_of(rows, indices) if rows else ()
        return ((r, self.engine.texts(r, i)) for r, i in zip(rows, indices, strict=True))

    def _checked(self, row: int, made: ClipTexts | None) -> list[str] | None:
        if made is None:
            return None
        if len(made.frames) != self._frames:
            raise InputError(
                f"{self.parts.clips.ids[row]}: expects a text for each of {self._frames} frames, language "
                f"engine {self.parts.meta.engines['language']['engine']['name']} gave {len(made.frames)}"
            )
        texts = [*made.frames, *([] if made.clip is None else [made.clip])]
        return [text.encode("utf-8", "replace").decode() for text in texts]  # some models write half a sign

    def _make_vectors(self, starts: list[int], advance: Advance) -> None:
        assert self.encoder is not None
        for start in starts:
            batch = self._units[start : start + _SENTENCES]
            if not self.parts.has(self.last.file(start)):  # another process may have made it meanwhile
                vectors = np.asarray(self.encoder.encode(batch), np.float32)
                self.parts.write_arrays(self.last.file(start), {"vectors": vectors})
            advance(len(batch))

    @cached_property
    def _units(self) -> list[str]:
        """What is embedded, each once; like lengths together, the same in every run."""
        units = set[str]()
        for start in self.first.starts():
            clips = self.parts.read_json(self.first.file(start))
            units.update(u for clip in clips if clip for text in clip for u in self._units_of(text))
        return sorted(units, key=lambda u: (len(u), u))

    def _units_of(self, text: str) -> list[str]:
        return [text] if self._whole else split_sentences(text) or [text]

    def prompts(self) -> Iterator[ModalityPrompts | None]:
        """The prompts of all clips in row order, from the shards."""
        row_of = {unit: r for r, unit in enumerate(self._units)}
        vectors = self._gather()

        def embed(text: str) -> np.ndarray:
            vector = vectors[[row_of[u] for u in self._units_of(text)]].sum(axis=0)
            return vector / max(float(np.linalg.norm(vector)), 1e-12)

        for start in self.first.starts():
            for row, clip in enumerate(self.parts.read_json(self.first.file(start)), start):
                if clip is None:
                    yield None
                    continue
                frames = self.parts.clips.frames(row, self._frames)
                frames = np.append(frames, [WHOLE_CLIP] * (len(clip) - self._frames))
                yield ModalityPrompts(frames, np.stack([embed(text) for text in clip]), texts=clip)

    def _gather(self) -> np.ndarray:
        """All embeddings in one file that is mapped: millions of texts need not fit into memory."""
        shape = (len(self._units), self.parts.meta.widths["language"])
        if not len(self._units):
            return np.zeros(shape, np.float32)
        vectors = np.lib.format.open_memmap(self.parts.folder / "vectors.tmp", "w+", np.float32, shape)
        last = self.last
        for start in last.starts():
            vectors[start : start + _SENTENCES] = self.parts.read_arrays(last.file(start))["vectors"]
        return vectors
