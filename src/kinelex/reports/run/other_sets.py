"""What ``kinelex evaluate --on`` found on other data sets, for the report."""

from __future__ import annotations

from typing import Any

from kinelex.files.bounded import safe_json
from kinelex.training.run_directory import RunDirectory


def other_sets(run: RunDirectory) -> list[dict[str, Any]]:
    """All that was judged, in the order of the files' names; what cannot be read is left out.

    Of each ``dataset``, ``part``, ``class_map`` and ``clips``; of all classes of the run and of those of the
    map the number (``classes``), ``top1`` and ``chance``.
    """
    found = []
    for path in sorted((run.path / "evaluation").glob("on_*.json")):
        try:
            content = safe_json(path.read_text(encoding="utf-8"))
            counts = content["counts"]
            about = {"dataset": content["dataset"], "part": content["protocol"] or "all clips"}
            about |= {"class_map": content["class_map_name"], "clips": int(counts["clips"])}
            about["classes"] = [int(counts["classes"]), int(counts["mapped_classes"])]
            for rate in ("top1", "chance"):
                about[rate] = [float(content[rate]), float(content[f"{rate}_mapped"])]
            found.append(about)
        except (OSError, ValueError, LookupError, TypeError, OverflowError):
            continue  # damaged, or from before there was the map's name
    return found
