// Dense inverse search: optical flow from patches that find themselves in the other frame.
// Kroeger, Timofte, Dai, Van Gool, "Fast Optical Flow using Dense Inverse Search", ECCV 2016.
//
// A flow of a says where a's pixels lie in b: a(x) is b(x + u), as in warp.h. One level of the pyramid is three steps:
//   pad      both pictures as floats, edges repeated, so that no sample needs a test for the border
//   search   each patch of a (8 x 8, on a grid) starts from the coarser level's flow and descends by Gauss-Newton.
//            Inverse compositional: gradients g and Hessian H = sum (g - mean g)(g - mean g)' are those of a, made
//            once; a step is u -= H^-1 sum (g - mean g) d, d = b(x + u) - a(x). The residual is sum (d - mean d)^2, so
//            the brightness of a patch may change. It only ever falls
//   average  each pixel takes the mean of the vectors of the patches over it, weighted by 1 / max(1, |d - mean d|)
// A sum over a patch is 8 sums down its columns ("lanes"), then a fixed tree over the lanes. So a lane is a thread on
// the GPU and an element of a vector on the CPU, and both give the same bits.
#pragma once

#include "ops/flow.h"

#if defined(__CUDACC__)
#define RM_UNROLL _Pragma("unroll")
#else
#define RM_UNROLL _Pragma("GCC unroll 8")
#endif

namespace reelmend {

constexpr int kPatch = 8;
constexpr float kPatchArea = kPatch * kPatch;

// Samples before the first and after the last of each row and column. A patch is never farther out than beside the
// picture, and a bilinear sample reads one more.
constexpr int kPadBefore = kPatch;
constexpr int kPadAfter = kPatch + 1;

// The start of a padded plane is at (-kPadBefore, -kPadBefore).
template <class T>
struct Padded {
  T* data;
  int stride;

  RM_HD T* at(int x, int y) const { return data + (y + kPadBefore) * stride + (x + kPadBefore); }
};

// A grid of patches over an axis; the last one is moved in to end with the picture.
RM_HD int patch_count(int size, int stride) {
  return size <= kPatch ? 1 : (size - kPatch + stride - 1) / stride + 1;
}
RM_HD int patch_place(int i, int size, int stride) {
  const int last = size > kPatch ? size - kPatch : 0;
  return i * stride < last ? i * stride : last;
}
// The first patch that reaches as far as x.
RM_HD int first_patch(int x, int count, int stride) {
  const int i = x < kPatch ? 0 : (x - kPatch) / stride + 1;
  return i < count ? i : count - 1;
}

// Where the corner of a patch lies in b: whole pixels, and the weights of the four samples around.
struct PatchAim {
  int x, y;
  float left, right, top, bottom;
};

RM_HD PatchAim aim_patch(int x, int y, float u, float v, int width, int height) {
  const float px = clamp_f(static_cast<float>(x) + u, static_cast<float>(-kPatch), static_cast<float>(width));
  const float py = clamp_f(static_cast<float>(y) + v, static_cast<float>(-kPatch), static_cast<float>(height));
  const float wx = floorf(px), wy = floorf(py);
  const float fx = px - wx, fy = py - wy;
  return {static_cast<int>(wx), static_cast<int>(wy), 1.0f - fx, fx, 1.0f - fy, fy};
}

// --- sums of a patch, for one lane -------------------------------------------------------------------------------

struct GradientSums {
  float x, y, xx, xy, yy;
};

// `a` points at the top of the lane's column. Samples and gradients (central differences) of row r go to to(r).
template <class Column>
RM_HD GradientSums lane_gradients(const float* a, int stride, Column to) {
  GradientSums s{0.0f, 0.0f, 0.0f, 0.0f, 0.0f};
  RM_UNROLL
  for (int r = 0; r < kPatch; ++r) {
    const float* const p = a + r * stride;
    const float gx = 0.5f * (p[1] - p[-1]);
    const float gy = 0.5f * (p[stride] - p[-stride]);
    to.a(r) = p[0];
    to.x(r) = gx;
    to.y(r) = gy;
    s.x += gx;
    s.y += gy;
    s.xx += gx * gx;
    s.xy += gx * gy;
    s.yy += gy * gy;
  }
  return s;
}

struct DifferenceSums {
  float d, dd, dx, dy;  // of d, d^2, d times the gradients
};

// `b` points at the sample left above the lane's first.
template <class Column>
RM_HD DifferenceSums lane_differences(const float* b, int stride, const PatchAim& w, Column of) {
  DifferenceSums s{0.0f, 0.0f, 0.0f, 0.0f};
  float above = w.left * b[0] + w.right * b[1];
  RM_UNROLL
  for (int r = 0; r < kPatch; ++r) {
    const float* const p = b + (r + 1) * stride;
    const float below = w.left * p[0] + w.right * p[1];
    const float d = (w.top * above + w.bottom * below) - of.a(r);
    above = below;
    s.d += d;
    s.dd += d * d;
    s.dx += d * of.x(r);
    s.dy += d * of.y(r);
  }
  return s;
}

// The order in which lanes are added; on the GPU, exchanges over distances 4, 2, 1 (a + b is b + a).
RM_HD float sum_lanes(const float* v) {
  return ((v[0] + v[4]) + (v[2] + v[6])) + ((v[1] + v[5]) + (v[3] + v[7]));
}

// --- the descent -------------------------------------------------------------------------------------------------

struct Descent {
  float mean_x, mean_y;          // of the gradients
  float inv_xx, inv_xy, inv_yy;  // H^-1; 0 where it has none: such patches stay where they start
};

// Damping: what is added to both diagonal elements, as if the patch had a faint texture of its own.
constexpr float kDamping = 16.0f;

RM_HD Descent make_descent(const GradientSums& s) {
  const float mx = s.x / kPatchArea, my = s.y / kPatchArea;
  const float xx = s.xx - mx * s.x + kDamping, xy = s.xy - mx * s.y, yy = s.yy - my * s.y + kDamping;
  const float det = xx * yy - xy * xy;
  const float inv = det > 0.0f ? 1.0f / det : 0.0f;
  return {mx, my, yy * inv, -xy * inv, xx * inv};
}

RM_HD float residual(const DifferenceSums& s) {
  return s.dd - s.d * s.d / kPatchArea;
}

struct PatchVector {
  float u, v;
  float mean;  // of d: by how much b is brighter
};

constexpr float kStill = 0.02f;  // pixels: smaller steps end the search

// differences(u, v) are the patch's sums there. `iterations` steps at most.
template <class Differences>
RM_HD PatchVector descend(const Descent& g, PatchVector start, DifferenceSums here, int iterations,
                          const Differences& differences) {
  PatchVector best = start;
  float least = residual(here);
  DifferenceSums s = here;
  for (int i = 0; i < iterations; ++i) {
    const float bx = s.dx - g.mean_x * s.d, by = s.dy - g.mean_y * s.d;
    const float du = g.inv_xx * bx + g.inv_xy * by, dv = g.inv_xy * bx + g.inv_yy * by;
    if (du * du + dv * dv < kStill * kStill) break;
    const float u = best.u - du, v = best.v - dv;
    const float ru = u - start.u, rv = v - start.v;
    if (!(ru * ru + rv * rv <= kPatchArea)) break;
    s = differences(u, v);
    const float now = residual(s);
    if (!(now < least)) break;
    least = now;
    best = {u, v, s.d / kPatchArea};
  }
  return best;
}

// The coarser level's flow (in this level's pixels) at (x, y), which is half a pixel left above the patch's centre.
struct Coarser {
  FlowField<const float> flow;  // u.data is null: none, the search starts from 0
  float across, down;           // its size in parts of this level's
  float times_u, times_v;
};

RM_HD Coarser make_coarser(const FlowField<const float>& flow, int width, int height) {
  const float across = static_cast<float>(flow.u.width) / static_cast<float>(width);
  const float down = static_cast<float>(flow.u.height) / static_cast<float>(height);
  return {flow, across, down, 1.0f / across, 1.0f / down};
}

RM_HD float finite_vector(float v) {
  return v - v == 0.0f ? clamp_f(v, -kFarthest, kFarthest) : 0.0f;
}

RM_HD PatchVector coarser_at(const Coarser& c, float x, float y) {
  if (!c.flow.u.data) return {0.0f, 0.0f, 0.0f};
  const int width = c.flow.u.width, height = c.flow.u.height;
  const float px = clamp_f((x + 1.0f) * c.across - 0.5f, 0.0f, static_cast<float>(width - 1));
  const float py = clamp_f((y + 1.0f) * c.down - 0.5f, 0.0f, static_cast<float>(height - 1));
  const int x0 = static_cast<int>(px), y0 = static_cast<int>(py);
  const int x1 = x0 + 1 < width ? x0 + 1 : x0, y1 = y0 + 1 < height ? y0 + 1 : y0;
  const float fx = px - static_cast<float>(x0), fy = py - static_cast<float>(y0);
  const auto fetch = [&](const Plane<const float>& p) {
    const float a = finite_vector(p.at(x0, y0)), b = finite_vector(p.at(x1, y0));
    const float e = finite_vector(p.at(x0, y1)), f = finite_vector(p.at(x1, y1));
    const float above = a + fx * (b - a), below = e + fx * (f - e);
    return above + fy * (below - above);
  };
  return {fetch(c.flow.u) * c.times_u, fetch(c.flow.v) * c.times_v, 0.0f};
}

struct Search {
  int width, height;
  int stride, columns, rows;  // of the grid
  int iterations;
  int candidates;  // besides the first
  float reach;
};

// The whole search of the patch at (x, y).
template <class Differences>
RM_HD PatchVector search_patch(const Search& k, const Coarser& c, const Descent& g, int x, int y,
                               const Differences& differences) {
  const float cx = static_cast<float>(x + kPatch / 2 - 1), cy = static_cast<float>(y + kPatch / 2 - 1);
  PatchVector start = coarser_at(c, cx, cy);
  DifferenceSums here = differences(start.u, start.v);
  float least = residual(here);
  for (int i = 0; i < k.candidates; ++i) {
    PatchVector other{0.0f, 0.0f, 0.0f};
    if (i > 0)
      other = coarser_at(c,
                         cx + (i == 1   ? -k.reach
                               : i == 2 ? k.reach
                                        : 0.0f),
                         cy + (i == 3   ? -k.reach
                               : i == 4 ? k.reach
                                        : 0.0f));
    const float eu = other.u - start.u, ev = other.v - start.v;
    if (eu * eu + ev * ev < 0.25f) continue;
    const DifferenceSums there = differences(other.u, other.v);
    const float now = residual(there);
    if (now < least) {
      least = now;
      here = there;
      start = other;
    }
  }
  start.mean = here.d / kPatchArea;
  return descend(g, start, here, k.iterations, differences);
}

// --- the average -------------------------------------------------------------------------------------------------

// What a patch's vector weighs at a pixel: `b` at the sample left above, `a` the pixel.
RM_HD float vector_weight(const float* b, int stride, const PatchAim& w, float mean, float a) {
  const float above = w.left * b[0] + w.right * b[1];
  const float below = w.left * b[stride] + w.right * b[stride + 1];
  const float d = ((w.top * above + w.bottom * below) - a) - mean;
  return 1.0f / max_f(1.0f, fabsf(d));
}

// Patches of a row are added by turns, so that those of one turn do not overlap: first every kTurns-th, from 0, ...
RM_HD int patch_turns(int stride) {
  return (kPatch + stride - 1) / stride;
}
// The first patch of a turn from `begin` on.
RM_HD int first_of_turn(int begin, int turn, int turns) {
  return begin + (turn + turns - begin % turns) % turns;
}

// What the search leaves: u, v and mean, one row of patches after the other.
template <class T>
struct PatchGrid {
  T* data;
  int columns, rows;

  RM_HD T* row(int component, int y) const { return data + (component * rows + y) * columns; }
};

}  // namespace reelmend
