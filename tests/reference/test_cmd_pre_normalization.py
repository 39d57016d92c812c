"""CMD's preparation of whole clips against the published code's output, in float64."""

import numpy as np
import torch

from kinelex.skeleton import get_layout
from kinelex.transforms import align_body, centre, fill_empty


def test_the_preparation_of_cmd_is_the_published_one(shared):
    z = np.load(shared / "reference" / "cmd_pre_normalization.npz")
    ntu = get_layout("ntu25")
    x = fill_empty(torch.from_numpy(z["x"]))
    x = align_body(centre(x, ntu, "frame"), ntu, "body")
    np.testing.assert_allclose(x.numpy(), z["y"], rtol=0, atol=1e-9)
