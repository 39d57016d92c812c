"""Where a training is followed: TensorBoard, a CSV file, Weights & Biases, MLflow, Comet, several at once.

All of them are Lightning's loggers. A tracker makes one for a run directory, goes on with it when the
training is resumed, and gives it what Lightning has no common form for: figures and texts.
"""

from __future__ import annotations

import json
import logging
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar
from uuid import uuid4

from lightning.pytorch.loggers import Logger

from kinelex.errors import InputError
from kinelex.files.atomic import write_whole
from kinelex.files.bounded import safe_json
from kinelex.training.registry import TRACKERS
from kinelex.training.run_directory import RunDirectory, readable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_KEYS = "trackers.json"  # of a run directory: what the run is called where it is followed


@dataclass(frozen=True)
class Description:
    """What is said of a finished training: figures and texts by name."""

    figures: Mapping[str, Figure] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)


class Tracker(ABC):
    """Makes a Lightning logger for a run.

    :func:`~kinelex.training.registry.register_tracker` adds one's own.
    """

    package: ClassVar[str] = ""
    extra: ClassVar[str] = ""

    def check(self) -> None:
        """Refuse a tracker whose package is not installed."""
        if self.package and find_spec(self.package) is None:
            raise InputError(
                f"training.logger={type(self).__name__.lower()} needs {self.package.replace('_', '-')}: "
                f"pip install 'kinelex[{self.extra}]'"
            )

    @abstractmethod
    def open(self, run: RunDirectory, key: str | None) -> Logger:
        """The logger of a run.

        Args:
            run: the run directory.
            key: what :meth:`key` said of a training that goes on; None at its beginning.
        """

    def key(self, logger: Logger) -> str | None:
        """What the run is called there, to go on with it."""
        return None

    def figure(self, logger: Any, name: str, figure: Figure) -> None:  # noqa: B027
        """Show a figure; nothing where the tracker has none."""

    def text(self, logger: Any, name: str, text: str) -> None:  # noqa: B027
        """Show a text in Markdown; nothing where the tracker has none."""

    def close(self, logger: Any, status: str) -> None:
        """End the run there; ``status`` is ``success`` or ``failed``."""
        logger.finalize(status)


class TensorBoard(Tracker):
    """Event files in ``RUN/tensorboard``."""

    def open(self, run: RunDirectory, key: str | None) -> Logger:
        from lightning.pytorch.loggers import TensorBoardLogger

        return TensorBoardLogger(run.path, name="tensorboard", version="", default_hp_metric=False)

    def figure(self, logger: Any, name: str, figure: Figure) -> None:
        logger.experiment.add_figure(name, figure, close=False)

    def text(self, logger: Any, name: str, text: str) -> None:
        logger.experiment.add_text(name, text)


class Csv(Tracker):
    """``RUN/csv/metrics.csv``, in the form of Lightning's own file."""

    def open(self, run: RunDirectory, key: str | None) -> Logger:
        from lightning.pytorch.loggers import CSVLogger

        logger = CSVLogger(run.path, name="csv", version="")
        for row in run.metrics():  # Lightning begins the file anew
            logger.log_metrics({**row}, step=int(row["epoch"]))
        return logger


class Wandb(Tracker):
    """Weights & Biases; its own environment variables hold (``WANDB_MODE=offline``, ``WANDB_PROJECT``)."""

    package, extra = "wandb", "trackers"

    def open(self, run: RunDirectory, key: str | None) -> Logger:
        from lightning.pytorch.loggers import WandbLogger

        project = os.environ.get("WANDB_PROJECT", "kinelex")
        name = run.path.resolve().name
        return WandbLogger(name, run.path, project=project, id=key or uuid4().hex[:12])

    def key(self, logger: Any) -> str:
        return str(logger.experiment.id)

    def figure(self, logger: Any, name: str, figure: Figure) -> None:
        import wandb

        logger.experiment.log({name: wandb.Image(figure)})

    def text(self, logger: Any, name: str, text: str) -> None:
        path = Path(logger.experiment.dir) / f"{name}.md"
        path.write_text(text, encoding="utf-8")
        logger.experiment.save(str(path), base_path=str(path.parent), policy="now")

    def close(self, logger: Any, status: str) -> None:
        logger.experiment.finish(exit_code=int(status != "success"))


class Mlflow(Tracker):
    """MLflow at ``MLFLOW_TRACKING_URI``, without it in the database ``RUN/mlflow.db``."""

    package, extra = "mlflow", "trackers"

    def open(self, run: RunDirectory, key: str | None) -> Logger:
        from lightning.pytorch.loggers import MLFlowLogger

        logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)  # tells of every table
        place = run.path.resolve()
        uri = os.environ.get("MLFLOW_TRACKING_URI")
        files = None if uri else f"file:{place / 'mlflow'}"
        experiment = os.environ.get("MLFLOW_EXPERIMENT_NAME", "kinelex")
        uri = uri or f"sqlite:///{place / 'mlflow.db'}"
        return MLFlowLogger(experiment, place.name, uri, artifact_location=files, run_id=key)

    def key(self, logger: Any) -> str:
        return str(logger.run_id)

    def figure(self, logger: Any, name: str, figure: Figure) -> None:
        logger.experiment.log_figure(logger.run_id, figure, f"{name}.png")

    def text(self, logger: Any, name: str, text: str) -> None:
        logger.experiment.log_text(logger.run_id, text, f"{name}.md")


class Comet(Tracker):
    """Comet; without ``COMET_API_KEY`` into an archive in ``RUN/comet``, which ``comet upload`` sends."""

    package, extra = "comet_ml", "comet"

    def open(self, run: RunDirectory, key: str | None) -> Logger:
        import comet_ml
        from lightning.pytorch.loggers import CometLogger

        class Logger(CometLogger):
            def _create_experiment(self) -> None:
                self._comet_config = comet_ml.ExperimentConfig(
                    **self._kwargs
                )  # Lightning's is off when offline
                super()._create_experiment()

        online = bool(os.environ.get("COMET_API_KEY"))
        settings: dict[str, Any] = {} if online else {"offline_directory": str(run.path / "comet")}
        return Logger(
            project=os.environ.get("COMET_PROJECT_NAME", "kinelex"),
            experiment_key=key or uuid4().hex,
            mode="get_or_create",
            online=online,
            name=run.path.resolve().name,
            **settings,
        )

    def key(self, logger: Any) -> str:
        return str(logger.version)

    def figure(self, logger: Any, name: str, figure: Figure) -> None:
        logger.experiment.log_figure(name, figure)

    def text(self, logger: Any, name: str, text: str) -> None:
        logger.experiment.log_text(text, metadata={"name": name})

    def close(self, logger: Any, status: str) -> None:
        logger.experiment.end()


def check_trackers(names: Sequence[str]) -> None:
    """See that every tracker's package is there, before anything is written."""
    for name in names:
        TRACKERS.find(name)().check()


@contextmanager
def following(
    names: Sequence[str], run: RunDirectory, describe: Callable[[RunDirectory], Description] | None = None
) -> Iterator[list[Logger]]:
    """The loggers of a training: they get its config first, and its description when the block has ended.

    Args:
        names: of the trackers.
        run: the run directory.
        describe: what is said of the finished run; nothing by default.
    """
    if not names:  # of a process that does not speak for the training, there may be no run yet
        yield []
        return
    trackers: list[Tracker] = [TRACKERS.find(name)() for name in names]
    path = run.path / _KEYS
    known: dict[str, Any] = {}
    if path.is_file():
        with readable(path):
            known = dict(safe_json(path.read_text(encoding="utf-8")))
    loggers = [tracker.open(run, known.get(name)) for name, tracker in zip(names, trackers, strict=True)]
    pairs = list(zip(trackers, loggers, strict=True))
    status = "failed"
    try:
        about = {"config": run.config, "environment": run.environment}
        for logger in loggers:
            logger.log_hyperparams(about)
        found = {name: t.key(logger) for name, (t, logger) in zip(names, pairs, strict=True)}
        known |= {name: key for name, key in found.items() if key is not None}
        if known:
            write_whole(path, json.dumps(known))
        yield loggers
        said = describe(run) if describe is not None else Description()
        for tracker, logger in pairs:
            for name, figure in said.figures.items():
                tracker.figure(logger, name, figure)
            for name, text in said.texts.items():
                tracker.text(logger, name, text)
        status = "success"
    finally:
        for tracker, logger in pairs:
            tracker.close(logger, status)
