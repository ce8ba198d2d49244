// A picture warped along a flow of any size, then shrunk: what the blocks of a flow network see, which look for motion
// from coarse to fine.
//
// Shrunk by an even number, bilinear, a pixel lies in the middle of its cell of the picture, between four samples of
// weight 1/4 each: so only there is the flow enlarged (resize.h) and the picture sampled (warp.h). The same arithmetic
// in the same order as in full size, each sample rounded as a warp's result is.
#pragma once

#include "ops/color.h"
#include "ops/flow.h"
#include "ops/resize.h"
#include "ops/warp.h"

namespace reelmend {

// Columns (rows) that a cell is sampled at: its only one, or the two in its middle.
RM_HD int shrunk_sides(int shrink) {
  return shrink == 1 ? 1 : 2;
}
RM_HD int shrunk_place(int x, int shrink, int side) {
  return shrink * x + (shrink - 1) / 2 + side;
}

RM_HD float middle(float a, float b) {
  return between(a, b, 0.5f);
}

// A flow of the picture's own size is taken as it is, so that NaN stays where it is.
RM_HD bool is_whole(const FlowField<const float>& flow, int width, int height) {
  return flow.u.width == width && flow.u.height == height;
}

// What follows is one output pixel, for the GPU.
template <int kSides>
struct ShrunkShifts {
  Shift u[kSides][kSides], v[kSides][kSides];  // by row, then column
};

template <int kSides>
RM_HD ShrunkShifts<kSides> shrunk_shifts(const FlowField<const float>& flow, int x, int y, int shrink, int width,
                                         int height) {
  const bool whole = is_whole(flow, width, height);
  ShrunkShifts<kSides> s;
  for (int j = 0; j < kSides; ++j) {
    for (int i = 0; i < kSides; ++i) {
      const int px = shrunk_place(x, shrink, i), py = shrunk_place(y, shrink, j);
      const auto at = [&](const Plane<const float>& f) {
        return whole ? f.at(px, py) : resized_at<float, Resizing::bilinear>(f, px, py, width, height);
      };
      s.u[j][i] = shift_of(at(flow.u), 1.0f);
      s.v[j][i] = shift_of(at(flow.v), 1.0f);
    }
  }
  return s;
}

template <class T, int kSides>
RM_HD float shrunk_at(const Plane<const T>& in, int x, int y, int shrink, const ShrunkShifts<kSides>& s,
                      float max_code) {
  float row[kSides];
  for (int j = 0; j < kSides; ++j) {
    float value[kSides];
    for (int i = 0; i < kSides; ++i) {
      const float exact = sample_at<T, Filter::bilinear, Border::edge>(
          in, shrunk_place(x, shrink, i), shrunk_place(y, shrink, j), s.u[j][i], s.v[j][i]);
      value[i] = static_cast<float>(to_sample<T>(exact, max_code));
    }
    row[j] = kSides == 1 ? value[0] : middle(value[0], value[kSides - 1]);
  }
  return kSides == 1 ? row[0] : middle(row[0], row[kSides - 1]);
}

}  // namespace reelmend
