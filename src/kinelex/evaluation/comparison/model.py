"""What a comparison consists of."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from kinelex.evaluation.published import Published
from kinelex.evaluation.statistics import mean_sd
from kinelex.training.run_directory import RunDirectory

TOP1 = "top-1"  # what the metric is called


@dataclass(frozen=True)
class Group:
    """Runs that differ only in the seed, one row of the tables."""

    name: str
    runs: tuple[RunDirectory, ...]


@dataclass(frozen=True)
class Number:
    """One number of one group.

    Args:
        values: of each run.
        interval: 95 % bootstrap interval over the test clips of the runs' mean, where clips are known.
        difference: mean minus that of the reference over the seeds that both have (over all where they share
            none), with its paired bootstrap interval.
        p: McNemar's exact p against the reference's run of the same seed, one per such pair.
        seeds: of each run.
    """

    values: tuple[float, ...]
    interval: tuple[float, float] | None = None
    difference: float | None = None
    difference_interval: tuple[float, float] | None = None
    p: tuple[float, ...] = ()
    seeds: tuple[int, ...] = ()

    @property
    def mean(self) -> float:
        """Mean over the runs."""
        return float(np.mean(self.values))

    @property
    def sd(self) -> float | None:
        """Standard deviation over the runs (n - 1); of one run there is none."""
        return mean_sd(self.values)["sd"]


@dataclass(frozen=True)
class Column:
    """One number of a task for all groups; None where a group was not judged by it.

    Shape:
        - per_class: (groups, classes), NaN where a group was not judged or a class has no clip
    """

    task: str
    title: str
    metric: str
    rule: str
    numbers: tuple[Number | None, ...]
    more_is_better: bool = True
    per_class: np.ndarray | None = None

    @property
    def name(self) -> str:
        """What to call it in a table.

        >>> Column("knn", "nearest neighbour", "top-1", "", ()).name
        'knn top-1'
        """
        return f"{self.task.replace('_', ' ')} {self.metric}"

    def best(self) -> tuple[int, ...]:
        """The groups with the best mean, to a tenth of a per cent as it is printed; several where they tie.

        >>> Column("knn", "", "top-1", "", (Number((0.5,)), None, Number((0.5001,)), Number((0.4,)))).best()
        (0, 2)
        """
        printed = {i: round(100 * n.mean, 1) for i, n in enumerate(self.numbers) if n is not None}
        if not printed:
            return ()
        top = max(printed.values()) if self.more_is_better else min(printed.values())
        return tuple(i for i, value in printed.items() if value == top)


@dataclass(frozen=True)
class Comparison:
    """Groups of runs and their numbers; the others are compared with the group at the place ``reference``."""

    groups: tuple[Group, ...]
    reference: int
    columns: tuple[Column, ...]
    dataset: str
    protocol: str
    counts: dict[str, int]
    class_names: tuple[str, ...]
    baselines: dict[str, float] = field(default_factory=dict)
    published: tuple[Published, ...] = ()
