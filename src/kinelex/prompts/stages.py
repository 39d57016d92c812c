"""A piece of work in shards, which any process may make."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kinelex.prompts.shards import Parts

Advance = Callable[[int], None]  # how many more are done


@dataclass(frozen=True)
class Stage:
    """Shards of one kind: ``total`` texts, pictures or sentences (``what``), ``size`` of them in a shard.

    ``make`` makes the shards that begin at the given numbers, and tells how many more are done.
    """

    what: str
    total: int
    size: int
    suffix: str
    make: Callable[[list[int], Advance], None]

    def file(self, start: int) -> str:
        """Name of the shard that begins with number ``start``."""
        return f"{self.what}-{start:08d}{self.suffix}"

    def cost_file(self, start: int) -> str:
        """Name of the file with what the engine took for that shard."""
        return f"cost-{self.what}-{start:08d}.json"

    def missing(self, parts: Parts, share: tuple[int, int] = (1, 1)) -> list[int]:
        """Where the shards begin that are not there yet, of share i of n."""
        return [s for s in self.starts(share) if not parts.has(self.file(s))]

    def starts(self, share: tuple[int, int] = (1, 1)) -> range:
        """Where the shards of share i of n begin; shards are dealt out in turn."""
        i, n = share
        return range((i - 1) * self.size, self.total, n * self.size)

    def count(self, starts: range | list[int]) -> int:
        """How many texts, pictures or sentences are in some shards."""
        return sum(min(self.size, self.total - start) for start in starts)

    def names(self, start: int) -> str:
        """A shard as a person counts, for messages.

        >>> Stage("texts", 70, 32, ".json", print).names(64)
        'texts 65 to 70'
        """
        return f"{self.what} {start + 1} to {min(start + self.size, self.total)}"


class Meter:
    """Measures what an engine takes for a shard: seconds, clips, and the tokens that its ``cost`` counts."""

    def __init__(self, engine: Any) -> None:
        self._engine = engine
        self._before, self._started = self._counted(), time.perf_counter()

    def _counted(self) -> dict[str, float]:
        cost = getattr(self._engine, "cost", {})
        return {key: cost[key] for key in ("tokens", "prompt_tokens") if key in cost}

    def read(self, clips: int) -> dict[str, float]:
        """What was taken since this was made, by so many clips."""
        seconds = time.perf_counter() - self._started
        spent = {key: value - self._before.get(key, 0) for key, value in self._counted().items()}
        return {"seconds": seconds, "clips": clips, **spent}


def total_cost(costs: Iterable[dict[str, float]]) -> dict[str, float]:
    """The costs of shards, added up.

    >>> total_cost([{"seconds": 1.5, "clips": 3}, {"seconds": 0.5, "clips": 1}])
    {'seconds': 2.0, 'clips': 4}
    """
    total: dict[str, float] = {}
    for cost in costs:
        for key, value in cost.items():
            total[key] = total.get(key, 0) + value
    return total


def describe(part: Any) -> dict[str, Any]:
    """Name, version and settings of an engine or encoder, for the metadata."""
    return {"name": part.name, "version": part.version, **getattr(part, "settings", {})}
