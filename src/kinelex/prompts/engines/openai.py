"""Language engine ``openai``: any OpenAI-compatible server (vLLM, TGI …) is asked about each frame."""

import base64
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from kinelex.data import write_jpeg
from kinelex.errors import InputError
from kinelex.prompts.base import ClipTexts
from kinelex.prompts.engines.answers import Answers
from kinelex.prompts.engines.asking import check_at_least, cost_in_words
from kinelex.prompts.engines.server import Server, ServerOptions, Stopped, find_access

_JPEG_QUALITY = 90


@dataclass
class _Clip:
    """A clip whose frames are being asked about; ``left`` of them have no answer yet."""

    row: int
    id: str
    frames: list[int]
    left: int


@dataclass(kw_only=True, eq=False)
class OpenAIServer(ServerOptions):
    """A server with the interface of OpenAI (vLLM, TGI, OpenAI …) answers a question about each frame.

    Many requests run at a time; failed ones are repeated. Each answer is noted at once, so that a killed run
    asks only for the rest. The key is read from OPENAI_API_KEY and kept nowhere. A picture is refused where
    the server says so, or answers three times without a text.

    Args:
        image_size: longer side that pictures are reduced to, in pixels.
        concurrency: requests at a time.
        price_in: price of a million tokens read, to show the cost.
        price_out: price of a million tokens written.
    """

    name = "openai"
    version = "1"
    image_size: int = 768
    concurrency: int = 16
    price_in: float = 0.0
    price_out: float = 0.0

    def __post_init__(self) -> None:
        check_at_least(1, image_size=self.image_size, concurrency=self.concurrency)
        check_at_least(0, requests_per_minute=self.requests_per_minute, retries=self.retries)
        check_at_least(0, price_in=self.price_in, price_out=self.price_out)
        check_at_least(0.001, timeout=self.timeout)
        if not self.model:
            raise InputError("language engine openai: name the model that is served, language.model=NAME")
        if find_spec("openai") is None or find_spec("PIL") is None:
            raise InputError("language engine openai needs more packages: pip install 'kinelex[openai]'")
        self._store = self.context.clips("language engine openai")
        super().__post_init__()
        find_access(self.base_url)  # says now what is missing
        journal = self.context.journal
        self._answers = Answers(None if journal is None else Path(journal) / "openai.jsonl")
        self.settings: dict[str, Any] = {"model": self.model, "question": self.question, "look": self.look}
        self.settings |= {"image_size": self.image_size, "max_new_tokens": self.max_new_tokens}

    @property
    def cost(self) -> dict[str, float]:
        """Seconds by the clock, tokens, requests, clips and price, those of earlier runs included."""
        cost = self._answers.cost()
        price = cost["prompt_tokens"] * self.price_in + cost["tokens"] * self.price_out
        return {**cost, "price": price / 1e6}

    def summary(self) -> str:
        """The cost in a line."""
        cost = self.cost
        rate = cost["requests"] / cost["seconds"] if cost["seconds"] else 0.0
        price = f", price {cost['price']:.4g}" if self.price_in or self.price_out else ""
        words = cost_in_words(self.settings["model"], cost)
        return f"{words}; {cost['requests']:.0f} requests, {rate:.3g} a second{price}"

    def texts(self, row: int, indices: np.ndarray) -> ClipTexts | None:
        """An answer per frame; None where the clip has no pictures."""
        return next(iter(self.texts_of([row], [indices])))[1]

    def texts_of(
        self, rows: Iterable[int], indices: Iterable[np.ndarray]
    ) -> Iterator[tuple[int, ClipTexts | None]]:
        """Answers about many clips, in the order in which they are done; equal frames are asked once."""
        server, threads = Server(self, len(self._answers)), ThreadPoolExecutor(self.concurrency)
        under_way: dict[Future[None], _Clip] = {}
        self._answers.start()
        try:
            for row, wanted in zip(rows, indices, strict=True):
                frames = [int(i) for i in wanted]
                clip = _Clip(row, self._store.ids[row], frames, 0)
                missing = sorted(set(frames) - self._answers.of(clip.id).keys())
                images = self._look(row, np.array(missing)) if missing else []
                if not images:
                    yield row, None if images is None else self._texts(clip)
                    continue
                clip.left = len(missing)
                for frame, image in zip(missing, images, strict=True):
                    picture = data_url(image, self.image_size)
                    under_way[threads.submit(self._ask, server, clip, frame, picture)] = clip
                while len(under_way) > 2 * self.concurrency:  # pictures wait in memory
                    yield from self._done(under_way)
            while under_way:
                yield from self._done(under_way)
        finally:
            server.stop()
            threads.shutdown(cancel_futures=True)  # what has been sent is answered and noted
            server.close()
            self._answers.keep()

    def _ask(self, server: Server, clip: _Clip, frame: int, picture: str) -> None:
        try:
            answer = server.ask(self.question, picture)
            if answer.text is None and not self._skip:
                raise InputError(
                    f"the server refuses, or answers without a text, frame {frame} of {clip.id}: "
                    "language.refused=skip leaves such clips without texts, a larger language.max_new_tokens "
                    "lets a model that thinks first come to its answer; what it has answered is kept"
                )
        except BaseException:
            server.stop()
            raise
        self._answers.note(clip.id, frame, answer)

    def _done(self, under_way: dict[Future[None], _Clip]) -> Iterator[tuple[int, ClipTexts | None]]:
        """Wait for answers; the clips that are done with them."""
        for future in wait(under_way, return_when=FIRST_COMPLETED).done:
            clip = under_way.pop(future)
            try:
                future.result()
            except Stopped:  # because of another, whose error is raised
                continue
            clip.left -= 1
            if not clip.left:
                yield clip.row, self._texts(clip)

    def _texts(self, clip: _Clip) -> ClipTexts | None:
        answers = self._answers.of(clip.id)
        texts = [text for frame in clip.frames if (text := answers[frame]) is not None]
        return ClipTexts(texts) if len(texts) == len(clip.frames) else None


def data_url(image: np.ndarray, longest: int) -> str:
    """A picture (H, W, 3) as JPEG inside a data URL, its longer side reduced to ``longest`` pixels.

    >>> data_url(np.zeros((4, 4, 3), np.uint8), 768)[:23]
    'data:image/jpeg;base64,'
    """
    from PIL import Image

    if max(image.shape[:2]) > longest:
        picture = Image.fromarray(image)
        picture.thumbnail((longest, longest), Image.Resampling.BICUBIC)
        image = np.asarray(picture)
    return "data:image/jpeg;base64," + base64.b64encode(write_jpeg(image, _JPEG_QUALITY)).decode()
