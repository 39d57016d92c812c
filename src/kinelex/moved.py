"""Modules of version 0.1 under their old names: they import what stands in the new rooms, with a warning.

``from kinelex.evaluation.knn import knn`` goes on working, and names ``kinelex.inference.neighbours``.
"""

import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

PROTOCOLS = (
    "calibration cross_dataset finetune linear_sgd one_shot prompt_space retrieval robustness semi "
    "supervision transfer zero_shot"
)
ACTORS = "body camera generate performance take"
ENGINES = "blip_vqa classes depth full grounding_dino joints openai render texts vlm"
# Old module: the new ones, in the order in which a name is looked for.
MOVED = {
    "batch": "data.batch",
    "datasets.actors": "datasets.synthetic datasets.synthetic.generate datasets.synthetic.performance",
    **{f"datasets.actors.{m}": f"datasets.synthetic.{m}" for m in ACTORS.split()},
    "datasets.bvh": "datasets.formats.bvh",
    "datasets.card": "reports.card reports.card.scan reports.card.warn reports.card.write",
    "datasets.seen_classes": "data.splits.seen_classes",
    "datasets.splits": "data.splits data.splits.split",
    **{f"evaluation.{m}": f"evaluation.protocols.{m}" for m in PROTOCOLS.split()},
    "evaluation.cache": "inference.cache",
    "evaluation.compare": "evaluation.comparison.compare reports.comparison.write",
    "evaluation.fitted": "evaluation.frozen_classifier",
    "evaluation.knn": "inference.neighbours",
    "evaluation.linear": "inference.linear_probe",
    "evaluation.material": "evaluation.probe_data",
    "evaluation.raw": "evaluation.baselines",
    "evaluation.report": "evaluation.rows evaluation.task_lines reports.run.write",
    "evaluation.tasks": "evaluation.protocols.registry",
    "evaluation.unseen": "evaluation.protocols.supervision",
    "evaluation.vectors": "inference.vectors",
    "info": "cli.describe",
    "methods.prompts": "methods.prompt_choice data.clip_prompts",
    **{f"prompts.{m}": f"prompts.engines.{m}" for m in ENGINES.split()},
    "prompts.clip_text": "prompts.embed.text_models",
    "prompts.efficientnet": "prompts.embed.image_networks",
    "prompts.image_models": "prompts.embed.image_models",
    "prompts.kinematic": "prompts.engines.kinematic.engine",
    "prompts.minilm": "models.minilm",
    "prompts.pictures": "prompts.video.pictures",
    "prompts.protocols": "prompts.base",
    "prompts.run": "prompts.make",
    "prompts.sentence": "prompts.embed.text_models",
    "prompts.timm_images": "prompts.embed.image_networks",
    "quickstart": "cli.quickstart",
    "store": "data",
    "store.prompt_store": "data.prompt_store",
    "store.skeleton_store": "data.skeleton_store",
    "studies": "evaluation.study evaluation.study.definition evaluation.study.run",
    "studies.definition": "evaluation.study.definition",
    "studies.run": "evaluation.study.run",
    "training.inference": "inference.features",
    "training.loader": "data.loader data.dataset data.clip_prompts",
    "training.persons": "data.persons training.store_defaults",
}
# What has another name today, by its old one.
RENAMED = {
    "Material": "ProbeData",
    "Outcome": "Prediction",
    "Fitted": "FrozenClassifier",
    "PromptTable": "StorePrompts",
}


class MovedModule(ModuleType):
    """A module of version 0.1, whose names are looked for where they stand today."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        new = [f"kinelex.{place}" for place in MOVED[self.__name__.removeprefix("kinelex.")].split()]
        for place in new:
            for today in (name, RENAMED.get(name, name)):
                if hasattr(import_module(place), today):
                    text = f"{self.__name__}.{name} moved: it is {place}.{today} now"
                    warnings.warn(text, DeprecationWarning, stacklevel=2)
                    return getattr(import_module(place), today)
        raise AttributeError(f"{self.__name__} moved to {' and '.join(new)}, which have no {name!r}")


class OldNames(MetaPathFinder, Loader):
    """Finds the modules of :data:`MOVED`, after all other finders found none."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        old = fullname.removeprefix("kinelex.")
        if old == fullname or old not in MOVED:
            return None
        return ModuleSpec(fullname, self, is_package=any(other.startswith(f"{old}.") for other in MOVED))

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return MovedModule(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Nothing to run: names are looked for when they are asked for."""


if not any(isinstance(finder, OldNames) for finder in sys.meta_path):
    sys.meta_path.append(OldNames())
