"""Every registered encoder in every one of its forms, small."""

import torch

from kinelex import encoders
from kinelex.skeleton import get_layout

CASES = {
    "aagcn": {"channels": 8, "depth": (1, 1, 1), "person_norms": 1},
    "aagcn, places": {"channels": 8, "depth": (1, 1, 1)},
    "ctrgcn": {"channels": 8, "depth": (1, 1, 1)},
    "gru": {"hidden": 6, "layers": 2},
    "gru, apart": {"hidden": 6, "layers": 2, "apart": True},
    "gru, apart max": {"hidden": 6, "layers": 2, "apart": True, "pooling": "max"},
    "gru, bidirectional": {"hidden": 6, "layers": 2, "bidirectional": True},
    "ctrgcn, places": {"channels": 8, "depth": (1, 1, 1), "person_norms": 2},
    "hdgcn": {"channels": 8, "depth": (1, 1, 1), "person_norms": 1},
    "hdgcn, places": {"channels": 8, "depth": (1, 1, 1)},
    "msg3d": {"channels": 6, "scales": 3, "window_scales": 2, "person_norms": 1},
    "msg3d, places": {"channels": 6, "scales": 3, "window_scales": 2},
    "slots": {"dim": 16, "depth": 2, "heads": 2, "registers": 2},
    "slots, nameless": {"dim": 16, "depth": 1, "heads": 2, "patch": 3, "names": False, "pooling": "slots"},
    "stgcnpp": {"channels": 8, "depth": (1, 1, 1)},
    "stgcn": {"channels": 4, "depth": (1, 1, 1)},
    "stgcn, present_only": {"channels": 4, "depth": (1, 1, 1), "present_only": True},
    "transformer": {"dim": 16, "depth": 2, "heads": 2},
    "transformer, factorised": {"dim": 16, "depth": 1, "heads": 2, "factorised": True},
}


def name_of(case):
    return case.split(",")[0]


def make(case, layout="sbu15", seed=0, **more):
    """An encoder in which every parameter and every running statistic does something."""
    torch.manual_seed(seed)
    encoder = encoders.create(name_of(case), layout=layout, **CASES[case], **more)
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter += 0.05 * torch.randn_like(parameter)
        for name, buffer in encoder.named_buffers():
            if name.endswith("running_mean"):
                buffer.normal_(std=0.2)
            elif name.endswith("running_var"):
                buffer.uniform_(0.5, 2)
    return encoder.eval()


def clips(n=2, t=16, m=2, layout="sbu15", c=3, seed=1):
    joints = get_layout(layout).num_joints
    return torch.randn(n, c, t, joints, m, generator=torch.Generator().manual_seed(seed))
