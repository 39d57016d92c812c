"""The encoders of a run directory: what training writes and inference reads."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from kinelex import encoders, plugins
from kinelex.data import SkeletonStore
from kinelex.data.named_clips import NamedClips
from kinelex.data.persons import person_places
from kinelex.encoders import Encoder
from kinelex.errors import InputError, check_name, one_line
from kinelex.files.atomic import whole_folder, write_whole
from kinelex.files.bounded import safe_json
from kinelex.skeleton import SkeletonLayout, has_landmarks, joined_layout
from kinelex.training.folds import check_no_folds
from kinelex.training.run_directory import RunDirectory, check_free
from kinelex.training.run_sources import run_folder
from kinelex.transforms import InputConfig, InputPipeline, transforms_of
from kinelex.transforms.lift import LIFTER, LiftPose, reading_from
from kinelex.transforms.normalise import TORSO


class SkeletonEncoder(nn.Module):
    """A trained encoder and the way its input is prepared: all that inference needs.

    Args:
        encoder: the encoder.
        pipeline: from ragged frames to the encoder's input.
        classifier: turns features into scores of ``class_names``, where the run learned from labels.
        class_names: the classes of ``classifier``.

    Shape:
        - x: (N, C, T, V, M), prepared as ``pipeline`` does.
        - returns: (N, F)
    """

    def __init__(
        self,
        encoder: Encoder,
        pipeline: InputPipeline,
        classifier: nn.Linear | None = None,
        class_names: tuple[str, ...] = (),
    ) -> None:
        super().__init__()
        self.encoder, self.pipeline = encoder, pipeline
        self.classifier, self.class_names = classifier, class_names

    @property
    def layout(self) -> SkeletonLayout:
        """The skeleton layout that the encoder itself reads."""
        return self.encoder.layout

    @property
    def source(self) -> SkeletonLayout:
        """The layout of the clips that ``pipeline`` takes: another than ``layout`` where it retargets."""
        return self.pipeline.source

    def reading(self, source: SkeletonLayout) -> SkeletonEncoder:
        """The same encoder for clips of another layout: read as they are, or retargeted to its own.

        Where a layout lacks the trunk by which clips are normalised, an encoder of any layout that has seen
        clips without one reads them beside its own joints, which are missing then, as in training.
        """
        encoder, config = self.encoder, self.pipeline.config
        if encoder.any_layout:
            whole = config.retarget == "complete" or has_landmarks(source, *TORSO)
            encoder = encoder.for_layout(source if whole else joined_layout([source, encoder.layout]))
        pipeline = InputPipeline(encoder.layout, self.pipeline.config, source)
        other = SkeletonEncoder(encoder, pipeline, self.classifier, self.class_names)
        return other.train(self.training)  # the two share the encoder, and so its mode

    def for_store(self, store: SkeletonStore | NamedClips) -> SkeletonEncoder:
        """The same encoder for the clips of a store: of its layout, with the run's number of persons.

        A run that was trained before runs had this number takes the most persons of any clip of the store.

        Raises:
            InputError: as :meth:`reading`, or a store in 2-D for an encoder of 3-D clips, or the reverse.
        """
        channels, config = self.encoder.in_channels, self.pipeline.config
        if store.channels != channels and not config.scores and not (config.lift and store.channels == 2):
            raise InputError(
                f"the run reads {channels}-D coordinates, {store.path} has {store.channels}-D ones: take a "
                "store of the same kind, or train on this one; runs with input.lift read 2-D ones, too "
                "(kinelex://actors does)"
            )
        persons = person_places(config.persons, self.encoder.places, store)
        if persons == config.persons and store.layout == self.source and not self.encoder.any_layout:
            return self
        encoder = self.reading(store.layout)
        config = replace(encoder.pipeline.config, persons=persons)
        encoder.pipeline = InputPipeline(encoder.layout, config, store.layout)
        return encoder

    @property
    def num_features(self) -> int:
        """Width F of a feature vector."""
        return self.encoder.num_features

    def forward(self, x: Tensor) -> Tensor:
        return self.encoder(x)

    def last_layer(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Weight (classes, F) and bias (classes,) of the classifier, if there is one."""
        if self.classifier is None:
            return None
        return self.classifier.weight.detach().cpu().numpy(), self.classifier.bias.detach().cpu().numpy()


def save_encoders(
    run: Path,
    trained: Mapping[str, Encoder],
    config: dict[str, Any],
    pipeline: InputPipeline,
    classifiers: Mapping[str, nn.Linear] | None = None,
    class_names: tuple[str, ...] = (),
) -> None:
    """Write ``encoder.safetensors`` and ``encoder.json``, and ``classifier.safetensors`` where there is one.

    The names of an encoder's weights are its own; with several streams they start with the stream's name, as
    those of classifiers always do.
    """
    first, builder = next(iter(trained.values())), encoders.builder(config["name"])
    settings: Mapping[str, Any] = asdict(pipeline.config)
    for lifter in pipeline.transforms.transforms.values():
        if isinstance(lifter, LiftPose):
            settings = reading_from(settings, LIFTER)
            write_whole(run / LIFTER, lifter.content)
    description = {
        "format_version": 1,
        "encoder": {**config, "in_channels": first.in_channels},
        "layout": first.layout.to_yaml(),
        "source_layout": pipeline.source.to_yaml(),
        "input": settings,
        "streams": list(trained),
        "num_features": first.num_features,
        "class_names": list(class_names),
        "plugins": plugins.used_by(builder, *map(type, transforms_of(pipeline.config))),
    }
    if classifiers:
        write_whole(run / "classifier.safetensors", _packed(nn.ModuleDict(classifiers)))
    write_whole(run / "encoder.safetensors", _packed(nn.ModuleDict(trained) if len(trained) > 1 else first))
    write_whole(run / "encoder.json", json.dumps(description, indent=2))


def _packed(module: nn.Module) -> bytes:
    """A module's weights as a file of safetensors; of its own ``save_file`` only its owner can read."""
    return save({name: value.detach().cpu().contiguous() for name, value in module.state_dict().items()})


def save_run(
    out: str | Path,
    config: dict[str, Any],
    trained: Mapping[str, Encoder],
    options: dict[str, Any],
    pipeline: InputPipeline,
    classifiers: Mapping[str, nn.Linear],
    class_names: tuple[str, ...],
) -> RunDirectory:
    """A new run directory of weights that no training made, whole or not at all.

    Raises:
        InputError: something is there already.
    """
    check_free(out, can_resume=False)
    with whole_folder(Path(out)) as folder:
        RunDirectory.create(folder, config)
        save_encoders(folder, trained, options, pipeline, classifiers, class_names)
    return RunDirectory(out)


def streams_of(run: Path) -> list[str]:
    """The streams that a run has an encoder for; none where its training has not finished."""
    path = run / "encoder.json"
    if not path.is_file():
        return []
    try:
        return _streams(safe_json(path.read_text(encoding="utf-8")))
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{path} is damaged: {one_line(error)[:200]}") from error


def _streams(description: dict[str, Any]) -> list[str]:
    return description.get("streams", [description["input"]["stream"]])  # once there was one per run


def load_encoder(
    run: str | Path, stream: str | None = None, untrained_seed: int | None = None
) -> SkeletonEncoder:
    """Load the encoder of a run directory, in eval mode on the CPU.

    Args:
        run: the run directory, or what stands for one, see :func:`~kinelex.training.run_sources.run_folder`.
        stream: which one where the run has an encoder per stream (``joint``, ``motion``, ``bone``); by
            default the first. Its ``pipeline`` derives the stream.
        untrained_seed: build the same architecture with fresh random weights from this seed instead.

    Raises:
        InputError: the directory has no finished encoder, a damaged one, or none of that stream.
    """
    loaded = load_encoders(run, untrained_seed)
    if stream is None:
        return next(iter(loaded.values()))
    check_name(f"stream of {run}", stream, loaded)
    return loaded[stream]


def load_encoders(
    run: str | Path, untrained_seed: int | None = None, store: SkeletonStore | None = None
) -> dict[str, SkeletonEncoder]:
    """Load the encoders of all streams of a run directory; see :func:`load_encoder`.

    Args:
        run, untrained_seed: as there.
        store: read the clips of this store, see :meth:`SkeletonEncoder.for_store`.

    Raises:
        InputError: the directory has no finished encoder, a damaged one, or one that cannot read the store.
    """
    path = run_folder(run)
    if not (path / "encoder.json").is_file() or not (path / "encoder.safetensors").is_file():
        begun = (path / "config.yaml").is_file()
        if begun:
            check_no_folds(RunDirectory(path))
        hint = "its training has not finished: go on with --resume" if begun else "it is no run directory"
        raise InputError(f"{path} has no encoder.json and encoder.safetensors; {hint}")
    try:
        loaded = _load(path, untrained_seed)
    except InputError:
        raise
    except (OSError, LookupError, TypeError, ValueError, ArithmeticError, RuntimeError, SafetensorError) as e:
        raise InputError(
            f"encoder.json, encoder.safetensors or classifier.safetensors in {path} is damaged, or they do "
            f"not belong together: {one_line(e)[:200]}"
        ) from e
    return loaded if store is None else {s: encoder.for_store(store) for s, encoder in loaded.items()}


def _load(path: Path, untrained_seed: int | None) -> dict[str, SkeletonEncoder]:
    description = safe_json((path / "encoder.json").read_text(encoding="utf-8"))
    try:
        return _built(path, description, untrained_seed)
    except InputError:
        plugins.require(description.get("plugins", ()), path)  # what is unknown may be a plugin's
        raise


def _built(path: Path, description: dict[str, Any], untrained_seed: int | None) -> dict[str, SkeletonEncoder]:
    layout = SkeletonLayout.from_yaml(description["layout"])
    source = SkeletonLayout.from_yaml(description.get("source_layout", description["layout"]))
    options = complete_options(description["encoder"])
    name = options.pop("name")
    config = InputConfig.read(reading_from(description["input"], str(path / LIFTER)))
    streams = _streams(description)
    with torch.random.fork_rng(devices=[]):
        if untrained_seed is not None:
            torch.manual_seed(untrained_seed)
        networks = {stream: encoders.create(name, layout=layout, **options) for stream in streams}
    if untrained_seed is None:
        state = load_file(str(path / "encoder.safetensors"))
        (nn.ModuleDict(networks) if len(networks) > 1 else networks[streams[0]]).load_state_dict(state)
    names = tuple(description.get("class_names", ()))
    linears = _classifiers(path, names) if names and untrained_seed is None else {}
    pipelines = {s: InputPipeline(layout, replace(config, stream=s), source) for s in networks}
    return {s: SkeletonEncoder(e, pipelines[s], linears.get(s), names).eval() for s, e in networks.items()}


def complete_options(encoder: Mapping[str, Any]) -> dict[str, Any]:
    """Name and options of an encoder as a run keeps them, with what older runs leave unsaid."""
    return {**getattr(encoders.builder(encoder["name"]), "unsaid", {}), **encoder}


def _classifiers(path: Path, names: tuple[str, ...]) -> dict[str, nn.Linear]:
    """The last layers of a run that learned from labels, by stream."""
    state = load_file(str(path / "classifier.safetensors"))
    linears = {}
    for stream in sorted({name.split(".")[0] for name in state}):
        weight = state[f"{stream}.weight"]
        if len(weight) != len(names):
            raise ValueError(f"the classifier has {len(weight)} outputs for {len(names)} class names")
        linears[stream] = nn.Linear(weight.shape[1], weight.shape[0])
        linears[stream].load_state_dict({"weight": weight, "bias": state[f"{stream}.bias"]})
    return linears
