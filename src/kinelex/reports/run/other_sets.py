"""What ``kinelex evaluate --on`` found on other data sets, for the report."""

from __future__ import annotations

from dataclasses import dataclass

from kinelex.files.bounded import safe_json
from kinelex.training.run_directory import RunDirectory


@dataclass(frozen=True)
class OtherSet:
    """The run's classifier on another data set."""

    dataset: str
    part: str
    class_map: str
    clips: int
    classes: tuple[int, int]
    top1: tuple[float, float]
    chance: tuple[float, float]


def other_sets(run: RunDirectory) -> list[OtherSet]:
    """All that was judged, in the order of the files' names; what cannot be read is left out."""
    found = []
    for path in sorted((run.path / "evaluation").glob("on_*.json")):
        try:
            content = safe_json(path.read_text(encoding="utf-8"))
            counts = content["counts"]
            found.append(
                OtherSet(
                    content["dataset"],
                    content["protocol"] or "all clips",
                    content["class_map_name"],
                    int(counts["clips"]),
                    (int(counts["classes"]), int(counts["mapped_classes"])),
                    (float(content["top1"]), float(content["top1_mapped"])),
                    (float(content["chance"]), float(content["chance_mapped"])),
                )
            )
        except (
            OSError,
            ValueError,
            KeyError,
            TypeError,
            OverflowError,
        ):  # from before there was the map's name, or damaged
            continue
    return found
