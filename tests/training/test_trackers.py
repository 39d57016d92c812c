"""Trackers, read back by their own readers, and callbacks of plugins; all without a network."""

import csv
import json
import struct
import zipfile
from unittest.mock import patch

import lightning as L
import pytest
import yaml

from kinelex import plugins
from kinelex.errors import InputError
from kinelex.training import registry, trackers
from kinelex.training.run_directory import RunDirectory
from kinelex.training.train import train

CHANGES = ["epochs=2", "encoder.name=stgcn", "channels=2", "depth=[1,1,1]", "frames=16", "batch_size=24"]
CHANGES += ["accelerator=cpu"]


@pytest.fixture
def offline(monkeypatch, tmp_path):
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "false")
    monkeypatch.setenv("COMET_ERROR_TRACKING_ENABLE", "false")
    for name in ("CONFIG_DIR", "CACHE_DIR", "DATA_DIR"):
        monkeypatch.setenv(f"WANDB_{name}", str(tmp_path / "wandb"))
    for name in ("MLFLOW_TRACKING_URI", "COMET_API_KEY"):
        monkeypatch.delenv(name, raising=False)


def _describe(run: RunDirectory) -> trackers.Description:
    from kinelex.reports.run.description import describe_run

    return describe_run(run)


def _losses(run: RunDirectory) -> list[float]:
    return [row["loss"] for row in run.metrics()]


def test_several_trackers_get_config_metrics_figures_and_card(acted, offline, tmp_path):
    """A resume, which finds both epochs done, goes on with the same runs and describes them."""
    for package in ("wandb", "mlflow"):
        pytest.importorskip(package)
    names = "logger=tensorboard,csv,wandb,mlflow"
    run = train("supervised", acted.store, "xsub", tmp_path / "run", overrides=[*CHANGES, names])
    keys = json.loads((run.path / "trackers.json").read_text())
    train("supervised", acted.store, "xsub", run.path, resume=True, describe=_describe)
    assert json.loads((run.path / "trackers.json").read_text()) == keys

    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{run.path / 'mlflow.db'}")
    followed = client.get_run(keys["mlflow"])
    assert followed.info.status == "FINISHED"
    assert followed.data.params["config/training/batch_size"] == "24"
    history = client.get_metric_history(keys["mlflow"], "loss")
    assert [m.value for m in history] == _losses(run)
    files = {f.path for f in client.list_artifacts(keys["mlflow"])}
    assert {"card.md", "loss.png", "training_accuracy.png"} <= files

    offline_runs = sorted((run.path / "wandb").glob("offline-run-*"))
    assert {folder.name.rsplit("-", 1)[1] for folder in offline_runs} == {keys["wandb"]}
    history = [row["loss"] for folder in offline_runs for row in _wandb_history(folder) if "loss" in row]
    assert [row for row in history if isinstance(row, float)] == _losses(run)
    shown = {path.name.rsplit("_", 2)[0] for path in (run.path / "wandb").rglob("media/images/*.png")}
    assert {"loss", "training_accuracy"} <= shown
    assert "supervised" in next((run.path / "wandb").rglob("card.md")).read_text()

    with (run.path / "csv" / "metrics.csv").open() as file:
        assert [float(row["loss"]) for row in csv.DictReader(file)] == pytest.approx(_losses(run))
    hparams = yaml.safe_load((run.path / "csv" / "hparams.yaml").read_text())
    assert hparams["config"]["training"]["batch_size"] == 24

    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(run.path / "tensorboard")).Reload()
    assert [e.value for e in events.Scalars("loss")] == pytest.approx(_losses(run))
    assert "loss" in events.Tags()["images"]
    assert "card/text_summary" in events.Tags()["tensors"]


def _wandb_history(folder):
    """The rows of an offline run: the package's own messages in a log of LevelDB's form."""
    from wandb.proto import wandb_internal_pb2

    data, place, rows, parts = next(folder.glob("*.wandb")).read_bytes(), 7, [], b""
    while place < len(data):
        if (left := 32768 - place % 32768) < 7:  # no record begins in the last bytes of a block
            place += left
            continue
        size, kind = struct.unpack_from("<HB", data, place + 4)
        parts += data[place + 7 : place + 7 + size]
        place += 7 + size
        if kind not in (1, 4):  # neither a whole record nor the last part of one
            continue
        record = wandb_internal_pb2.Record()
        record.ParseFromString(parts)
        parts = b""
        if record.WhichOneof("record_type") == "history":
            items = record.history.item
            rows.append(
                {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in items}
            )
    return rows


def test_comet_writes_an_archive(acted, offline, tmp_path):
    pytest.importorskip("comet_ml")
    changes = [*CHANGES, "epochs=1", "logger=comet"]
    run = train("supervised", acted.store, "xsub", tmp_path / "run", overrides=changes, describe=_describe)
    key = json.loads((run.path / "trackers.json").read_text())["comet"]
    with zipfile.ZipFile(next((run.path / "comet").glob(f"*{key}*.zip"))) as archive:
        said = archive.read("messages.json").decode()
        assert str(_losses(run)[0])[:8] in said
        assert any(name.endswith(".svg") for name in archive.namelist())


def test_a_missing_package_is_one_message_before_anything_is_written(acted, tmp_path, quick):
    with (
        patch.object(trackers, "find_spec", return_value=None),
        pytest.raises(InputError, match=r"logger=wandb needs wandb: pip install 'kinelex\[trackers\]'"),
    ):
        train("supervised", acted.store, "xsub", tmp_path / "run", overrides=[*CHANGES, "logger=csv,wandb"])
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("logger=wandbb", "unknown logger 'wandbb': did you mean 'wandb'"),
        ("logger=csv,csv", "names one twice"),
        ("callbacks=nobody", "unknown callback 'nobody'"),
        ("callbacks=[3]", "expects training.callbacks as a list of names"),
        ("strategy=fsdp", "unknown strategy 'fsdp'"),
        ("num_nodes=0", "num_nodes of at least 1"),
    ],
)
def test_wrong_settings_are_told(acted, tmp_path, change, message):
    with pytest.raises(InputError, match=message):
        train("supervised", acted.store, "xsub", tmp_path / "run", overrides=[*CHANGES, change])


class StepCounter(L.Callback):
    """Counts steps, every so many; a plugin's callback."""

    counted: list[int] = []

    def __init__(self, every: int = 1) -> None:
        self.every = every

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx) -> None:
        if batch_idx % self.every == 0:
            self.counted.append(batch_idx)


def test_callbacks_and_trackers_of_plugins(acted, tmp_path, monkeypatch):
    class Followed(trackers.Csv):
        pass

    monkeypatch.setitem(registry.CALLBACKS, "step_counter", StepCounter)
    monkeypatch.setitem(registry.TRACKERS, "followed", Followed)
    monkeypatch.setattr(plugins, "_loaded", [__name__])
    changes = [*CHANGES, "callbacks=[{name: step_counter, every: 2}]", "logger=followed"]
    run = train("supervised", acted.store, "xsub", tmp_path / "run", overrides=changes)
    assert StepCounter.counted == [0, 2, 0, 2]
    assert (run.path / "csv" / "metrics.csv").is_file()
    assert run.config["plugins"] == [__name__]
