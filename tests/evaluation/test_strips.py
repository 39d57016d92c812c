"""Drawings of clips with missing joints: nothing is drawn to them, and they do not move or scale the rest."""

import re

import numpy as np
import pytest

from kinelex.reports.page.view import skeleton_strip
from kinelex.skeleton import get_layout


@pytest.mark.parametrize("name", ["ntu25", "coco17"])
def test_a_missing_joint_has_no_line_and_leaves_the_others_where_they_are(name):
    layout = get_layout(name)
    channels = 3 if name == "ntu25" else 2
    x = np.random.default_rng(0).normal(size=(1, 1, layout.num_joints, channels)) * 0.1 + 5
    wrist = layout.index("left_wrist")
    x[:, :, wrist] = x.mean(axis=2)  # no corner of the drawing
    hidden = x.copy()
    hidden[:, :, wrist] = 0
    lines, left = (set(re.findall(r"M[\d. -]+L[\d. -]+", skeleton_strip(c, layout, 1))) for c in (x, hidden))
    assert left < lines
    assert len(lines) - len(left) == sum(wrist in bone for bone in layout.bones)


def test_a_clip_without_a_spine_is_drawn_in_the_middle():
    layout = get_layout("ntu25")
    x = np.random.default_rng(0).normal(size=(4, 1, 25, 3)) * 0.1 + 5
    x[:, 0, layout.index("spine")] = 0
    drawn = skeleton_strip(x, layout, 4)
    numbers = [float(n) for n in re.findall(r"[ML](-?[\d.]+) ", drawn)]
    assert min(numbers) > -1
    assert max(numbers) < 101
