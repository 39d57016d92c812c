"""Makes the table of joint names that the encoder `slots` reads: python benchmarks/joint_names.py

The mean of a table that is there stays, as trained weights rest on it.
"""

from pathlib import Path

import numpy as np

import kinelex.encoders
from kinelex.encoders.joint_names import words_of
from kinelex.models.minilm import MiniLM
from kinelex.skeleton import get_layout, layout_names
from kinelex.skeleton.names import _MIDDLE, _SIDED

PATH = Path(kinelex.encoders.__file__).with_name("joint_names.npz")
RIGS = ("hip_joint", "toe", "toe_end", "hand_end", "forearm", "thigh", "shin")  # what motion capture adds
MIDDLE = ("head_top", "head_end", "jaw", "thorax", "belly", "root", *(f"spine{n}" for n in range(1, 5)))

joints = {joint for name in layout_names() for joint in get_layout(name).joints} | {*_MIDDLE, *MIDDLE}
joints |= {f"{side}_{joint}" for side in ("left", "right") for joint in (*_SIDED, *RIGS)}
vectors = MiniLM().encode([words_of(joint) for joint in sorted(joints)])
body = [joint in get_layout("ntu25").joints + get_layout("smpl24").joints for joint in sorted(joints)]
mean = np.load(PATH)["mean"] if PATH.is_file() else vectors[body].mean(axis=0).astype(np.float16)
scale = 127 / np.abs(vectors).max(axis=1, keepdims=True)
rounded = np.rint(vectors * scale).astype(np.int8)
np.savez_compressed(PATH, joints=np.array(sorted(joints)), vectors=rounded, mean=mean)
print(f"{len(joints)} joints, {PATH.stat().st_size} bytes")
