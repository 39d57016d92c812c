"""Raw files as a user has them, written by the tests of the command line."""

import json
from pathlib import Path

import numpy as np


def write_clip(folder: Path, name: str, coordinates: np.ndarray) -> Path:
    """A clip in the JSON form of Northwestern-UCLA; coordinates (T, 20, 3)."""
    label = (1, 2, 3, 4, 5, 6, 8, 9, 11, 12).index(int(name[1:3])) + 1
    path = folder / f"{name}.json"
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"file_name": name, "skeletons": coordinates.tolist(), "label": label}))
    return path
