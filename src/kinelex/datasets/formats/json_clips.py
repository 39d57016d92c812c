"""Clips in JSON: which of the formats in circulation a file has, told by its content."""

from __future__ import annotations

from pathlib import Path

from kinelex.datasets.formats.azure_json import is_azure, read_azure
from kinelex.datasets.formats.clip import Clip, read_json
from kinelex.datasets.formats.keypoint_json import (
    is_detection,
    read_annotations,
    read_detections,
    read_instances,
)
from kinelex.datasets.formats.landmark_json import read_landmarks
from kinelex.errors import InputError


def read_json_clip(path: Path) -> Clip:
    """One clip from a JSON file."""
    content, where = read_json(path), str(path)
    if isinstance(content, dict):
        if is_azure(content):
            return read_azure(content, where)
        if isinstance(content.get("instance_info"), list):
            return read_instances(content["instance_info"], where)
        if "images" in content and "annotations" in content:
            return read_annotations(content, where)
        if "people" in content:
            raise InputError(f"{path}: is one frame of OpenPose: a clip is the folder of all its frames")
    if isinstance(content, list) and content:
        if is_detection(content[0]):
            return read_detections(content, where)
        if isinstance(content[0], dict) and "instances" in content[0]:
            return read_instances(content, where)
        if isinstance(content[0], dict) and {"keypoints", "keypoint_scores"} <= content[0].keys():
            return read_instances([{"instances": content}], where)  # of one picture
    return read_landmarks(content, where)
