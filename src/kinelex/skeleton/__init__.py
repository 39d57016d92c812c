"""What a body is: layouts, graphs, streams and the way from one layout to another."""

from kinelex.skeleton.graph import distance_subsets, spatial_subsets
from kinelex.skeleton.layout import PARTS, SkeletonLayout, get_layout, joined_layout, layout_names
from kinelex.skeleton.names import common_names
from kinelex.skeleton.presence import joint_presence
from kinelex.skeleton.retarget import has_landmarks, landmark_weights, retarget, retarget_matrix
from kinelex.skeleton.streams import STREAMS, make_stream, mirror

__all__ = ["PARTS", "STREAMS", "SkeletonLayout", "common_names", "distance_subsets", "get_layout"]
__all__ += [
    "has_landmarks",
    "joined_layout",
    "joint_presence",
    "landmark_weights",
    "layout_names",
    "make_stream",
    "mirror",
]
__all__ += ["retarget", "retarget_matrix", "spatial_subsets"]
