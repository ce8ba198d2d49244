// Resizing a plane. Pixel centres of both sizes are aligned at halves: output x lies at (x + 1/2) in / out - 1/2.
//
// Places are counted in whole parts of a pixel, so they are exact: sides up to kMaxResize keep them in 32 bits.
//   bilinear  between the two nearest centres; constant beyond the outer ones. Not for shrinking by more than 2
//   area      the mean over the part of the input that an output pixel covers
// Rows are resampled first in bilinear, columns are summed first in area; CPU and GPU keep this order.
#pragma once

#include "core/view.h"

namespace reelmend {

enum class Resizing { bilinear, area };

constexpr int kMaxResize = 46340;

struct ResizeTap {
  int near, far;
  float weight;  // of far
};

// In units of 1 / (2 out) of an input pixel, x lies at (2 x + 1) in - out.
RM_HD ResizeTap resize_tap(int x, int in, int out) {
  const unsigned place = (2u * static_cast<unsigned>(x) + 1u) * static_cast<unsigned>(in);
  const unsigned unit = static_cast<unsigned>(out);
  if (place < unit) return {0, 0, 0.0f};
  const int near = static_cast<int>((place - unit) / (2u * unit));
  const unsigned rest = (place - unit) % (2u * unit);
  const int far = near + 1 < in ? near + 1 : in - 1;
  return {near, far, static_cast<float>(rest) / static_cast<float>(2u * unit)};
}

RM_HD float between(float a, float b, float weight) {
  return a + weight * (b - a);
}

// What an output pixel covers, in units of 1 / out of an input pixel: [x in, (x + 1) in), and i covers
// [i out, (i + 1) out).
RM_HD int cover_begin(int x, int in, int out) {
  return x * in / out;
}
RM_HD int cover_end(int x, int in, int out) {
  return ((x + 1) * in - 1) / out + 1;
}
RM_HD float cover_share(int i, int x, int in, int out) {
  const int low = i * out > x * in ? i * out : x * in;
  const int high = (i + 1) * out < (x + 1) * in ? (i + 1) * out : (x + 1) * in;
  return static_cast<float>(high - low) / static_cast<float>(in);
}

// One sample, for the GPU.
template <class T, Resizing kFilter>
RM_HD float resized_at(const Plane<const T>& p, int x, int y, int width, int height) {
  if constexpr (kFilter == Resizing::bilinear) {
    const ResizeTap tx = resize_tap(x, p.width, width);
    const ResizeTap ty = resize_tap(y, p.height, height);
    const float a =
        between(static_cast<float>(p.at(tx.near, ty.near)), static_cast<float>(p.at(tx.far, ty.near)), tx.weight);
    const float b =
        between(static_cast<float>(p.at(tx.near, ty.far)), static_cast<float>(p.at(tx.far, ty.far)), tx.weight);
    return between(a, b, ty.weight);
  } else {
    const int first = cover_begin(y, p.height, height);
    const int last = cover_end(y, p.height, height);
    float sum = 0.0f;
    for (int i = cover_begin(x, p.width, width); i < cover_end(x, p.width, width); ++i) {
      float column = 0.0f;
      for (int j = first; j < last; ++j) {
        column += cover_share(j, y, p.height, height) * static_cast<float>(p.at(i, j));
      }
      sum += cover_share(i, x, p.width, width) * column;
    }
    return sum;
  }
}

}  // namespace reelmend
