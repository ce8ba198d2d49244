"""DAIN's geometry in PyTorch, for training: the flow projection, and the adaptive warp. See csrc/ops/projection.h and
csrc/ops/adaptive.h, which it is equal to but for rounding."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ... import ops

__all__ = ["adaptive", "projected"]

_TAPS = 4  # along an edge


def projected(flow: Tensor, t: Tensor, weight: Tensor) -> Tensor:
    """The flow from a time between back to the first picture, (n, 2, h, w): ops.project_flow, learnt through `weight`.

    flow (n, 2, h, w), which nothing is learnt through; t (n, 1, 1, 1); weight (n, 1, h, w). Holes are filled, and
    nothing is learnt of them.
    """
    n, _, h, w = flow.shape
    v, u = torch.meshgrid(torch.arange(h), torch.arange(w), indexing="ij")
    place = torch.stack([u, v]).to(flow) + t * flow
    inside = ((place >= 0) & (place <= torch.tensor([w - 1, h - 1]).reshape(1, 2, 1, 1))).all(1, keepdim=True)
    given = torch.where(inside, weight, torch.zeros_like(weight))
    low = place.floor().clamp(min=0)
    sums = flow.new_zeros(n, 3, h * w)
    values = torch.cat([-t * flow * given, given], 1).reshape(n, 3, h * w)
    for down in (0, 1):
        for right in (0, 1):
            x, y = (low[:, 0] + right).clamp(max=w - 1), (low[:, 1] + down).clamp(max=h - 1)
            at = (y * w + x).long().reshape(n, 1, h * w).expand(n, 3, h * w)
            sums = sums.scatter_add(2, at, values)
    found = (sums[:, :2] / sums[:, 2:].clamp(min=1e-12)).reshape(n, 2, h, w)
    holes = (sums[:, 2:] <= 0).reshape(n, 1, h, w)
    return torch.where(holes, _filled(flow, t, weight), found)


def _filled(flow: Tensor, t: Tensor, weight: Tensor) -> Tensor:
    """The same by our op, holes and all."""
    made = []
    for one, time, near in zip(flow.detach().cpu(), t.flatten().tolist(), weight.detach().cpu(), strict=True):
        found, _ = ops.project_flow(
            np.ascontiguousarray(one.numpy()), t=time, depth_weight=near[0].contiguous().numpy()
        )
        made.append(torch.from_numpy(found))
    return torch.stack(made).to(flow)


def adaptive(planes: Tensor, flow: Tensor, taps: Tensor, at: Tensor) -> Tensor:
    """Planes (n, c, h, w) fetched along flows (n, 2, rows, columns) of a part of them that begins at (column, row),
    through taps (n, 16, rows, columns): ops.adaptive_warp, but that flows may lead out of the patches, whose edges go
    on. Nothing is learnt through the flow."""
    n, c, h, w = planes.shape
    flow = flow.detach()
    v, u = torch.meshgrid(torch.arange(flow.shape[2]), torch.arange(flow.shape[3]), indexing="ij")
    place = torch.stack([u, v]).to(flow) + at[:, :, None, None] + flow
    low = place.floor()
    part = place - low
    right, down = (torch.cat([1 - p, 1 - p, p, p], 1) for p in part.split(1, 1))
    beside = torch.arange(_TAPS).to(flow).reshape(1, _TAPS, 1, 1) - 1
    x, y = (low[:, :1] + beside).clamp(0, w - 1), (low[:, 1:] + beside).clamp(0, h - 1)
    picture = torch.arange(n).to(flow).reshape(n, 1, 1, 1, 1) * (h * w)
    where = (picture + y[:, :, None] * w + x[:, None]).flatten(1, 2)
    weight = (down[:, :, None] * right[:, None]).flatten(1, 2) * taps
    # a bag is a weighted sum of rows of a table: here of pixels
    rows = [k.permute(0, 2, 3, 1).reshape(-1, _TAPS**2) for k in (where, weight)]
    table = planes.permute(0, 2, 3, 1).reshape(-1, c)
    made = functional.embedding_bag(rows[0].long(), table, per_sample_weights=rows[1], mode="sum")
    return made.reshape(n, *flow.shape[2:], c).permute(0, 3, 1, 2)
