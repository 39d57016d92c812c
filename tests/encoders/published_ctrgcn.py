"""CTR-GCN written plainly under the published names, subset after subset: what ours is held against."""

import torch
from torch.nn import functional as F


def published_ctrgcn(state, x, calibrate=False):
    """Logits of the published network in eval mode.

    Args:
        state: parameters and buffers under the published names.
        x: clips of as many persons as ``data_bn`` was made for.
        calibrate: write the statistics of these clips into the batch norms on the way.

    Shape:
        - x: (N, C, T, V, M)
        - returns: (N, classes)
    """

    def norm(y, name):
        mean, var = state[f"{name}.running_mean"], state[f"{name}.running_var"]
        if calibrate:
            dims = [d for d in range(y.ndim) if d != 1]
            mean.copy_(y.mean(dim=dims))
            var.copy_(y.var(dim=dims))
        return F.batch_norm(y, mean, var, state[f"{name}.weight"], state[f"{name}.bias"])

    def conv(y, name, **options):
        return F.conv2d(y, state[f"{name}.weight"], state[f"{name}.bias"], **options)

    def graph(y, place):
        total = 0
        for k in range(3):
            subset = f"{place}.convs.{k}"
            a = conv(y, f"{subset}.conv1").mean(dim=2)
            b = conv(y, f"{subset}.conv2").mean(dim=2)
            refined = conv(torch.tanh(a.unsqueeze(-1) - b.unsqueeze(-2)), f"{subset}.conv4")
            refined = refined * state[f"{place}.alpha"] + state[f"{place}.PA"][k]
            total = total + torch.einsum("ncuv,nctv->nctu", refined, conv(y, f"{subset}.conv3"))
        wider = f"{place}.down.0.weight" in state
        down = norm(conv(y, f"{place}.down.0"), f"{place}.down.1") if wider else y
        return torch.relu(norm(total, f"{place}.bn") + down)

    def time(y, place, stride):
        branches = []
        for b in range(4):
            branch = f"{place}.branches.{b}"
            if b == 3:
                branches.append(norm(conv(y, f"{branch}.0", stride=(stride, 1)), f"{branch}.1"))
                continue
            z = torch.relu(norm(conv(y, f"{branch}.0"), f"{branch}.1"))
            if b == 2:
                branches.append(norm(F.max_pool2d(z, (3, 1), (stride, 1), (1, 0)), f"{branch}.4"))
            else:
                options = {"stride": (stride, 1), "padding": (2 * b + 2, 0), "dilation": (b + 1, 1)}
                branches.append(norm(conv(z, f"{branch}.3.conv", **options), f"{branch}.3.bn"))
        return torch.cat(branches, dim=1)

    n, c, t, v, m = x.shape
    y = norm(x.permute(0, 4, 3, 1, 2).reshape(n, m * v * c, t), "data_bn")
    y = y.view(n, m, v, c, t).permute(0, 1, 3, 4, 2).reshape(n * m, c, t, v)
    for i in range(1, 11):
        stride = 2 if i in (5, 8) else 1
        z = time(graph(y, f"l{i}.gcn1"), f"l{i}.tcn1", stride)
        if f"l{i}.residual.conv.weight" in state:
            z = z + norm(conv(y, f"l{i}.residual.conv", stride=(stride, 1)), f"l{i}.residual.bn")
        elif i > 1:
            z = z + y
        y = torch.relu(z)
    features = y.mean(dim=(2, 3)).view(n, m, -1).mean(dim=1)
    return features @ state["fc.weight"].T + state["fc.bias"]
