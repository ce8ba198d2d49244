"""Pixel operations. Each runs where its arrays live: NumPy on the CPU, CuPy / PyCUDA / torch arrays on their GPU.

`op(x, ...)` allocates its result like its input; `op(x, ..., out=y)` does not allocate. Arrays are taken without a copy
through the buffer protocol, DLPack or `__cuda_array_interface__`, with any strides. On a GPU, `stream=` is the CUDA
stream to run on (an integer handle or an object with `.ptr`, `.handle` or `__cuda_stream__`); nothing here waits for
the GPU. CPU and GPU run the same arithmetic and give the same bits.
"""

from ._dispatch import beside, copy, empty_like, to_host
from ._memory import cast, largest, to_device
from .blocks import BlockPyramid, block_motion
from .color import rgb_to_yuv, yuv_to_rgb
from .compose import Term, compose, count_overlay, lay_over, trace
from .dense import dense_flow
from .exposure import exposure_map
from .filters import sharpen
from .geometry import resize, resize_flow, warp, warp_blend, warp_shrunk
from .motion import adaptive_warp, bilateral_flow, consistency, correlate, flows_at, median_flow
from .scatter import project_flow, splat
from .statistics import area_mean, histogram, quantiles, smooth_quantiles
from .tone import apply_lut, map_tones

__all__ = [
    "BlockPyramid",
    "Term",
    "adaptive_warp",
    "apply_lut",
    "area_mean",
    "beside",
    "bilateral_flow",
    "block_motion",
    "cast",
    "compose",
    "consistency",
    "copy",
    "correlate",
    "count_overlay",
    "dense_flow",
    "empty_like",
    "exposure_map",
    "flows_at",
    "histogram",
    "largest",
    "lay_over",
    "map_tones",
    "median_flow",
    "project_flow",
    "quantiles",
    "resize",
    "resize_flow",
    "rgb_to_yuv",
    "sharpen",
    "smooth_quantiles",
    "splat",
    "to_device",
    "to_host",
    "trace",
    "warp",
    "warp_blend",
    "warp_shrunk",
    "yuv_to_rgb",
]
