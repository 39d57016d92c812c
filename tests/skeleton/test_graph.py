"""Adjacency subsets: against the reference files and against plain loops."""

from pathlib import Path

import numpy as np
import pytest

from kinelex.skeleton import SkeletonLayout, distance_subsets, get_layout, layout_names, spatial_subsets


@pytest.mark.parametrize("name", ["ntu25", "kinect20"])
def test_spatial_subsets_match_the_published_graph(name: str, shared: Path) -> None:
    expected = np.load(shared / "reference" / "graphs.npz")[name]
    np.testing.assert_allclose(spatial_subsets(get_layout(name)), expected, atol=1e-7)


def test_distance_subsets_match_the_published_graph(shared: Path) -> None:
    expected = np.load(shared / "reference" / "stgcn.npz")["state/A"]
    np.testing.assert_allclose(distance_subsets(get_layout("ntu25")), expected, atol=1e-6)


def _neighbours(layout: SkeletonLayout, joint: int) -> list[int]:
    children = [j for j, p in enumerate(layout.parents) if p == joint and j != joint]
    parent = layout.parents[joint]
    return children if parent == joint else [parent, *children]


@pytest.mark.parametrize("name", layout_names())
def test_spatial_subsets_equal_a_loop_over_bones(name: str) -> None:
    layout = get_layout(name)
    expected = np.zeros((3, layout.num_joints, layout.num_joints))
    for joint in range(layout.num_joints):
        expected[0, joint, joint] = 1
        parent = layout.parents[joint]
        children = [c for c in _neighbours(layout, joint) if c != parent]
        if parent != joint:
            expected[1, parent, joint] = 1
        for child in children:
            expected[2, child, joint] = 1 / len(children)
    np.testing.assert_allclose(spatial_subsets(layout), expected)


def _hops_to_root(layout: SkeletonLayout, joint: int) -> int:
    return 0 if joint == layout.root else 1 + _hops_to_root(layout, layout.parents[joint])


@pytest.mark.parametrize("name", layout_names())
def test_distance_subsets_equal_a_loop_over_neighbours(name: str) -> None:
    layout = get_layout(name)
    expected = np.zeros((3, layout.num_joints, layout.num_joints))
    for joint in range(layout.num_joints):
        near = [joint, *_neighbours(layout, joint)]
        for other in near:
            mine, its = (min(_hops_to_root(layout, j), 2) for j in (joint, other))
            subset = 0 if other == joint else 2 if its < mine else 1
            expected[subset, other, joint] = 1 / len(near)
    np.testing.assert_allclose(distance_subsets(layout), expected)


@pytest.mark.parametrize("name", layout_names())
def test_columns_of_the_distance_subsets_sum_to_one(name: str) -> None:
    np.testing.assert_allclose(distance_subsets(get_layout(name)).sum(axis=(0, 1)), 1)
