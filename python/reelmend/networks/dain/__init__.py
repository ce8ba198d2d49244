"""DAIN: frames between frames by flow that knows depth, learned 4 x 4 kernels, and a synthesis of both pictures.

Source: Bao et al., "Depth-Aware Video Frame Interpolation", CVPR 2019; weights and layout of github.com/baowenbo/DAIN
(MIT), file best.pth.

What lies between the parts, for pictures I_0 and I_1 of a multiple of settings["multiple"] and a time t (all geometry
by our ops; cat joins channels):

    F_01, F_10 = flow(I_0, I_1), flow(I_1, I_0)                  once a pair, see `flow`; in pixels, full size
    D_k, w_k = depth(I_k);  C_k = context(I_k, D_k)              once a frame
    K_0, K_1 = kernels(I_0, I_1)                                 once a pair
    F_t0 = ops.project_flow(F_01, t=t, depth_weight=w_0);  F_t1 = ops.project_flow(F_10, t=1 - t, depth_weight=w_1)
    A_k = ops.adaptive_warp(I_k, F_tk, K_k), and so for C_k
    B = (1 - t) A_0 + t A_1
    I_t = synthesis(B, A_0, A_1, F_t0, F_t1, K_0, K_1, C_0 warped, C_1 warped)

A slim variant (`slim`) has fewer channels and a small depth network; F_01 and F_10 are those of our own search.
"""

from .family import DAIN

__all__ = ["DAIN"]
