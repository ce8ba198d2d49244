// Dense inverse search: optical flow from patches that find themselves in the other frame.
// Kroeger, Timofte, Dai, Van Gool, "Fast Optical Flow using Dense Inverse Search", ECCV 2016.
//
// A flow of a says where a's pixels lie in b: a(x) is b(x + u), as in warp.h. One level of the pyramid is three steps:
//   pad      both pictures as floats, edges repeated, so that no sample needs a test for the border
//   search   each patch of a (8 x 8, on a grid) starts from the coarser level's flow and descends by Gauss-Newton.
//            Inverse compositional: gradients g and Hessian H = sum (g - mean g)(g - mean g)' are those of a, made
//            once; a step is u -= H^-1 sum (g - mean g) d, d = b(x + u) - a(x). The residual is sum (d - mean d)^2, so
//            the brightness of a patch may change. It only ever falls. In later rounds patches try their neighbours'
//            vectors
//   average  each pixel takes the mean of the vectors of the patches over it, weighted by 1 / max(1, |d - mean d|)
// A sum over a patch is 8 sums down its columns ("lanes"), then a fixed tree over the lanes. So a lane is a thread on
// the GPU and an element of a vector on the CPU, and both give the same bits.
#pragma once

#include "ops/flow.h"
#include "ops/resize.h"

#if defined(__CUDACC__)
#define RM_UNROLL_ROWS _Pragma("unroll")
#else
#define RM_UNROLL_ROWS _Pragma("GCC unroll 8")
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
  RM_UNROLL_ROWS
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
  RM_UNROLL_ROWS
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
  float inv_xx, inv_xy, inv_yy;  // H^-1
};

// Added to the diagonal of H, as if a patch had a faint texture of its own: codes squared, summed over the patch. So a
// flat patch has an inverse and steps of 0, and one with a lone edge does not slide along it. It also keeps the
// determinant, at least kDamping times the trace, far above its rounding.
constexpr float kDamping = 16.0f;

RM_HD Descent make_descent(const GradientSums& s) {
  const float mx = s.x / kPatchArea, my = s.y / kPatchArea;
  const float xx = (s.xx - mx * s.x) + kDamping, xy = s.xy - mx * s.y, yy = (s.yy - my * s.y) + kDamping;
  const float det = xx * yy - xy * xy;
  return {mx, my, yy / det, -xy / det, xx / det};
}

RM_HD float residual(const DifferenceSums& s) {
  return s.dd - s.d * s.d / kPatchArea;
}

struct PatchVector {
  float u, v;
  float mean;  // of d: by how much b is brighter
};

struct Search {
  int width, height;
  int stride, columns, rows;  // of the grid
  int iterations;
};

constexpr float kStill = 0.04f;  // pixels: a smaller step is the last and is taken unseen

// `differences(u, v)` are the patch's sums there, `here` those at the start. A step that leads farther from the start
// than a patch, or does not lower the residual, is not taken and ends the descent.
template <class Differences>
RM_HD PatchVector descend(const Search& k, const Descent& g, const PatchVector& start, const DifferenceSums& here,
                          const Differences& differences) {
  PatchVector best{start.u, start.v, here.d / kPatchArea};
  float least = residual(here);
  DifferenceSums s = here;
  for (int i = 0; i < k.iterations; ++i) {
    const float bx = s.dx - g.mean_x * s.d, by = s.dy - g.mean_y * s.d;
    const float du = g.inv_xx * bx + g.inv_xy * by, dv = g.inv_xy * bx + g.inv_yy * by;
    const float u = best.u - du, v = best.v - dv;
    const float far_u = u - start.u, far_v = v - start.v;
    if (far_u * far_u + far_v * far_v > kPatchArea) break;
    if (du * du + dv * dv < kStill * kStill) {
      best.u = u;
      best.v = v;
      break;
    }
    s = differences(u, v);
    const float now = residual(s);
    if (now >= least) break;
    least = now;
    best = {u, v, s.d / kPatchArea};
  }
  return best;
}

// --- where a search starts ---------------------------------------------------------------------------------------

struct Coarser {
  FlowField<const float> flow;  // u.data is null: there is none, all start from 0
  float across, down;           // its size in parts of this level's
  float times_u, times_v;       // from its pixels to this level's
};

RM_HD Coarser make_coarser(const FlowField<const float>& flow, int width, int height) {
  const float across = static_cast<float>(flow.u.width) / static_cast<float>(width);
  const float down = static_cast<float>(flow.u.height) / static_cast<float>(height);
  return {flow, across, down, 1.0f / across, 1.0f / down};
}

RM_HD float finite_vector(float v) {
  return v - v == 0.0f ? clamp_f(v, -kFarthest, kFarthest) : 0.0f;
}

// The coarser flow at the centre of the patch at (x, y), which lies at (x + 4, y + 4) counted from the picture's corner
// and so at (x + 4) across - 1/2 counted from the centre of its first pixel.
RM_HD PatchVector coarser_start(const Coarser& c, int x, int y) {
  if (!c.flow.u.data) return {0.0f, 0.0f, 0.0f};
  const int width = c.flow.u.width, height = c.flow.u.height;
  const float px = clamp_f(static_cast<float>(x + kPatch / 2) * c.across - 0.5f, 0.0f, static_cast<float>(width - 1));
  const float py = clamp_f(static_cast<float>(y + kPatch / 2) * c.down - 0.5f, 0.0f, static_cast<float>(height - 1));
  const int x0 = static_cast<int>(px), y0 = static_cast<int>(py);
  const int x1 = x0 + 1 < width ? x0 + 1 : x0, y1 = y0 + 1 < height ? y0 + 1 : y0;
  const float fx = px - static_cast<float>(x0), fy = py - static_cast<float>(y0);
  const auto fetch = [&](const Plane<const float>& p) {
    const float above = between(finite_vector(p.at(x0, y0)), finite_vector(p.at(x1, y0)), fx);
    const float below = between(finite_vector(p.at(x0, y1)), finite_vector(p.at(x1, y1)), fx);
    return between(above, below, fy);
  };
  return {fetch(c.flow.u) * c.times_u, fetch(c.flow.v) * c.times_v, 0.0f};
}

// What a round of searches leaves: u, v and mean, for each component one row of patches after the other.
template <class T>
struct PatchGrid {
  T* data;
  int columns, rows;

  RM_HD T* row(int component, int y) const { return data + (component * rows + y) * columns; }
  RM_HD PatchVector get(int x, int y) const { return {row(0, y)[x], row(1, y)[x], row(2, y)[x]}; }
  RM_HD void set(int x, int y, const PatchVector& p) const {
    row(0, y)[x] = p.u;
    row(1, y)[x] = p.v;
    row(2, y)[x] = p.mean;
  }
};

// The eight neighbours of a patch in turn.
constexpr int kNeighbours = 8;

RM_HD PatchVector neighbour_of(const PatchGrid<const float>& g, int x, int y, int n) {
  const int place = n < kNeighbours / 2 ? n : n + 1;  // of 3 x 3
  return g.get(clamp_index(x + place % 3 - 1, g.columns), clamp_index(y + place / 3 - 1, g.rows));
}

// Vectors less than a pixel apart: descents from both would meet.
RM_HD bool alike(const PatchVector& a, const PatchVector& b) {
  const float u = a.u - b.u, v = a.v - b.v;
  return u * u + v * v < 1.0f;
}

RM_HD bool alike_around(const PatchGrid<const float>& g, int x, int y) {
  const PatchVector own = g.get(x, y);
  for (int n = 0; n < kNeighbours; ++n) {
    if (!alike(own, neighbour_of(g, x, y, n))) return false;
  }
  return true;
}

// The first round.
template <class Differences>
RM_HD PatchVector search_from(const Search& k, const PatchVector& start, const Descent& g,
                              const Differences& differences) {
  return descend(k, g, start, differences(start.u, start.v), differences);
}

// A later round, of the patch at (x, y) of the grid: if what a neighbour found suits it better than its own vector, it
// descends from there. All see what the round before has left, so no order of patches matters.
template <class Differences>
RM_HD PatchVector search_again(const Search& k, const PatchGrid<const float>& found, int x, int y, const Descent& g,
                               const Differences& differences) {
  const PatchVector own = found.get(x, y);
  PatchVector start = own, tried = own;
  DifferenceSums here = differences(own.u, own.v);
  float least = residual(here);
  bool other = false;
  for (int n = 0; n < kNeighbours; ++n) {
    const PatchVector theirs = neighbour_of(found, x, y, n);
    if (alike(theirs, start) || alike(theirs, tried)) continue;
    tried = theirs;
    const DifferenceSums there = differences(theirs.u, theirs.v);
    const float now = residual(there);
    if (now < least) {
      least = now;
      here = there;
      start = theirs;
      other = true;
    }
  }
  return other ? descend(k, g, start, here, differences) : own;
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

}  // namespace reelmend
