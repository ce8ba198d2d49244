"""Cases of ops/compose.py."""

from __future__ import annotations

import numpy as np

from ... import ops
from .case import OpCase, Picture
from .geometry import smooth_flow

__all__ = ["cases"]


def cases(picture: Picture) -> list[OpCase]:
    """A luma plane composed of two along a flow of half its size; a flow traced; an overlay counted."""
    y = picture.yuv[0]
    flow = smooth_flow(*y.shape)
    half = ops.resize_flow(flow, (y.shape[0] // 2, y.shape[1] // 2))
    two = OpCase(
        "compose, luma planes, flows of half size",
        {"a": y, "b": y, "flow_a": half, "flow_b": -half},
        lambda x, out: ops.compose([ops.Term(x["a"], x["flow_a"], 0.5), ops.Term(x["b"], x["flow_b"], 0.5)], out=out),
    )
    traced = OpCase("trace", {"flow": flow}, lambda x, out: ops.trace(x["flow"], 0.3, out=out))
    curved = OpCase(
        "trace, accelerated",
        {"flow": flow, "beyond": -0.8 * flow},
        lambda x, out: ops.trace(x["flow"], 0.3, beyond=x["beyond"], out=out),
    )
    # half of the samples change; the count is the result, written where it was read
    later = np.where(np.indices(y.shape).sum(0) % 2, y, 255 - y).astype(np.uint8)
    overlay = OpCase(
        "count_overlay, luma planes",
        {"a": y, "b": later, "flow": half, "count": np.zeros_like(y)},
        lambda x, out: ops.count_overlay(
            x["a"], x["b"], x["flow"], ops.copy(x["count"]) if out is None else out, still=2, contrast=8
        ),
    )
    return [two, traced, curved, overlay]
