"""Adjacency matrices over a layout's bones, in the two published three-subset forms."""

from __future__ import annotations

import numpy as np

from kinelex.skeleton.layout import SkeletonLayout


def spatial_subsets(layout: SkeletonLayout) -> np.ndarray:
    """Identity, inward and outward adjacency, each normalised on its own.

    Column j of the inward matrix spreads joint j to its parent, of the outward one to its children;
    columns are divided by their sum.

    Shape:
        - returns: (3, V, V), float64.

    Source: CTR-GCN (Chen et al., ICCV 2021), "spatial" labelling.

    >>> from kinelex.skeleton import get_layout
    >>> spatial_subsets(get_layout("kinect20")).shape
    (3, 20, 20)
    """
    v = layout.num_joints
    inward = np.zeros((v, v))
    for joint, parent in layout.bones:
        inward[parent, joint] = 1.0
    return np.stack([np.eye(v), _normalise_columns(inward), _normalise_columns(inward.T)])


def distance_subsets(layout: SkeletonLayout) -> np.ndarray:
    """The one-hop neighbourhood, normalised as a whole, split by distance from the root joint.

    Subset 0 holds the joint itself, subset 1 the neighbours that are closer to the root, subset 2 those
    that are further away. As in the published code distances are only known up to one hop: two
    neighbours that are both further out than that count as equally far, and go to subset 1.

    Shape:
        - returns: (3, V, V), float64, the sum over subsets has columns that sum to 1.

    Source: ST-GCN (Yan et al., AAAI 2018), "spatial configuration partitioning", as its public code and
    those that build on it (SkeletonCLR, AimCLR) compute it.

    >>> from kinelex.skeleton import get_layout
    >>> bool(np.allclose(distance_subsets(get_layout("kinect20")).sum(axis=(0, 1)), 1))
    True
    """
    v = layout.num_joints
    hops = np.minimum([_depth(layout, j) for j in range(v)], 2)  # 2 stands for "beyond one hop"
    linked = np.eye(v)
    for joint, parent in layout.bones:
        linked[joint, parent] = linked[parent, joint] = 1.0
    linked = _normalise_columns(linked)
    # Entry [j, i] carries joint j to joint i, so j's distance is compared with i's.
    further = hops[:, None] < hops[None, :]
    itself = np.eye(v, dtype=bool)
    return np.stack([linked * itself, linked * ~(itself | further), linked * further])


def _depth(layout: SkeletonLayout, joint: int) -> int:
    depth = 0
    while layout.parents[joint] != joint:
        joint, depth = layout.parents[joint], depth + 1
    return depth


def _normalise_columns(matrix: np.ndarray) -> np.ndarray:
    total = matrix.sum(axis=0, keepdims=True)
    return np.divide(matrix, total, out=np.zeros_like(matrix), where=total > 0)
