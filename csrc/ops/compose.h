// A picture composed of several warped ones, along flows of any size; motion through a pixel between two frames; and
// what stands still in front of what moves.
#pragma once

#include "ops/resize.h"
#include "ops/warp.h"

namespace reelmend {

constexpr int kMaxTerms = 6;

// One addend: planes fetched along a flow, times a weight. Flow and weight map are of one size, which need not be the
// planes': they are resized (bilinear, as resize.h does it), and u and v multiplied by the ratio of widths and heights.
template <class T>
struct Term {
  Plane<const T> plane[kMaxPlanes];
  Flow flow;
  Weight weight;
};

// out = sum_k weight_k in_k(x + flow_k), added from the first term on.
template <class T>
struct Terms {
  Term<T> term[kMaxTerms];
  int count;
  int planes;
};

RM_HD float add_term(float sum, float weight, float value) {
  return sum + weight * value;
}

// ------------------------------------------------------------------------------------------------------------------
// Motion through the pixels of a frame at time t between frames 0 and 1, from the flow F of frame 0 to 1 and, where it
// is given, B of frame 0 to the frame before it. A pixel X of frame 0 moves as X + v t + a t^2 / 2 in units of the
// interval, so F = v + a / 2, B = -v + a / 2: a = F + B, and at t it is at X + t F - a t (1 - t) / 2 (Xu et al.,
// "Quadratic video interpolation", NeurIPS 2019). Asked is the X that is at x at t: X = x + u0 with
// u0 = -t F(X) + s a(X), s = t (1 - t) / 2, solved by fixed-point iteration; then u1 = u0 + F(X) leads to frame 1.
// Accelerations beyond a limit are errors of the flows; and one as great as both motions together is no even one:
// something stopped, started or turned between frames. Towards both they fade to 0.
struct Tracing {
  float t, pull;  // t, and s
  float limit;    // of |a|, in pixels: all up to it, none from twice of it
  int steps;
};

constexpr float kNoMotion = 1e-6f;  // pixels

RM_HD float length_of(float u, float v) {
  return sqrtf(u * u + v * v);
}

// The part of an acceleration that is believed, between motions whose lengths add up to `both`: all up to half of that
// and a little more, none where it is all of it.
RM_HD float believed(float limit, float acceleration, float both) {
  const float little = limit * (1.0f / 16.0f);
  const float fades = clamp_f((both - acceleration) / max_f(0.5f * both - little, kNoMotion), 0.0f, 1.0f);
  return fades * clamp_f(2.0f - acceleration / limit, 0.0f, 1.0f);
}

// From F and B at X to the displacement u0 (or its v).
RM_HD void traced(const Tracing& r, float fu, float fv, float bu, float bv, float* u, float* v) {
  const float au = fu + bu;
  const float av = fv + bv;
  const float both = length_of(fu, fv) + length_of(bu, bv);
  const float part = r.pull * believed(r.limit, length_of(au, av), both);
  *u = part * au - r.t * fu;
  *v = part * av - r.t * fv;
}

// ------------------------------------------------------------------------------------------------------------------
// Overlays (titles, logos): what keeps its light while the picture behind it moves, and stands out. Counted a frame
// pair: up where the sample kept still though the flow is as long as asked, down to 0 where it changed, and left where
// nothing moved, for then nothing can be told.
struct OverlayRule {
  int still;     // largest change of a sample that kept still, in codes
  int contrast;  // least range of the 5x5 samples around it
  float moving;  // least |flow| in pixels, squared
};

constexpr int kAround = 2;

RM_HD int moves(const OverlayRule& r, float u, float v) {
  return u * u + v * v >= r.moving ? 1 : 0;
}

RM_HD int overlay_count(const OverlayRule& r, int before, int change, int range, float u, float v) {
  const int still = (change < 0 ? -change : change) <= r.still ? 1 : 0;
  const int stands_out = range >= r.contrast ? 1 : 0;
  const int more = before + (moves(r, u, v) & stands_out);
  return still * (more > 255 ? 255 : more);
}

// Whether a sample of a plane, perhaps a smaller one, belongs to an overlay: one of the counts it covers, or of their
// neighbours, has come to `least`. One row of counts above and below, and one column to each side, are looked at.
struct Cover {
  int first, last;
};
RM_HD Cover cover_of(int i, int size, int counts) {
  const int from = i * counts / size - 1;
  const int to = ((i + 1) * counts - 1) / size + 1;
  return {from < 0 ? 0 : from, to < counts ? to : counts - 1};
}

}  // namespace reelmend
