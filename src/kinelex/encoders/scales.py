"""A graph split by distance, one scale for each number of edges, as MS-G3D has it.

Source: Liu et al., "Disentangling and Unifying Graph Convolutions for Skeleton-Based Action Recognition",
CVPR 2020, arXiv 2003.14111.
"""

import numpy as np

from kinelex.skeleton import SkeletonLayout


def hop_distances(linked: np.ndarray) -> np.ndarray:
    """Edges on the shortest way from each node of a graph (V, V) to each other; -1 where there is no way.

    >>> hop_distances(np.array([[0, 1, 0], [1, 0, 1], [0, 1, 0]])).tolist()
    [[0, 1, 2], [1, 0, 1], [2, 1, 0]]
    """
    from scipy.sparse.csgraph import shortest_path  # half a second that most encoders need not wait for

    hops = shortest_path(linked != 0, unweighted=True)
    return np.where(np.isfinite(hops), hops, -1).astype(np.int64)


def k_adjacency(linked: np.ndarray, scales: int) -> np.ndarray:
    """Scale k links each node to itself and to the nodes exactly k edges away, symmetrically normalised.

    It is (K, V, V); K is ``scales``, or one more than the graph's diameter if that is less (section 3.2).

    >>> k_adjacency(np.array([[0, 1], [1, 0]]), scales=8).tolist()
    [[[1.0, 0.0], [0.0, 1.0]], [[0.5, 0.5], [0.5, 0.5]]]
    """
    hops = hop_distances(linked)
    itself = np.eye(len(hops), dtype=bool)
    near = np.stack([(hops == k) | itself for k in range(min(scales, hops.max() + 1))])
    degree = near.sum(axis=2)  # (K, V)
    return near / np.sqrt(degree[:, :, None] * degree[:, None, :])


def window_graph(layout: SkeletonLayout, window: int) -> np.ndarray:
    """Graph over the joints of a few frames: a joint is linked to itself and its neighbours in all of them.

    It is (window·V, window·V), frame by frame. Source: section 3.3.

    >>> from kinelex.skeleton import get_layout
    >>> window_graph(get_layout("kinect20"), window=3).shape
    (60, 60)
    """
    linked = np.eye(layout.num_joints)
    for joint, parent in layout.bones:
        linked[joint, parent] = linked[parent, joint] = 1.0
    return np.tile(linked, (window, window))
