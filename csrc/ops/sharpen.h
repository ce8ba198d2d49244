// Detail raised or lowered, each place by its own gains: unsharp masking with three blurs, of two neighbours across, of
// two down and of the 5x5 square around.
//
// All three details are differences that are exactly 0 where samples are alike. The square is added in two parts, of 16
// samples and of 8, neither of them on both axes: first the four outer rows of each column, then columns. What lies
// opposite is added first, so a mirrored picture gives the mirrored bits.
#pragma once

#include "ops/color.h"
#include "ops/resize.h"
#include "ops/warp.h"

namespace reelmend {

constexpr int kSharpenReach = 2;

// Where a sample's detail is multiplied: across, down, around.
struct SharpenGains {
  float across, down, around;
};

// Four of five samples in line, from one end to the other, but the middle one.
RM_HD float outer_sum(float a, float b, float d, float e) {
  return (a + e) + (b + d);
}

// x - the mean of the square. `corners`: the 16 samples in neither its row nor its column; `cross`: the other 8.
RM_HD float around_detail(float x, float corners, float cross) {
  return ((16.0f * x - corners) + (8.0f * x - cross)) * 0.04f;
}

RM_HD float beside_detail(float x, float before, float after) {
  return x - (before + after) * 0.5f;
}

RM_HD float sharpened(float x, float across, float down, float around, const SharpenGains& g) {
  return ((x + g.across * across) + g.down * down) + g.around * around;
}

// Gains of the planes' own size are taken as they are.
RM_HD bool is_whole(const Stack<const float>& gains, int width, int height) {
  return gains.first.width == width && gains.first.height == height;
}

// What follows is one output pixel, for the GPU.
RM_HD SharpenGains sharpen_gains(const Stack<const float>& gains, int x, int y, int width, int height) {
  if (is_whole(gains, width, height)) return {gains.at(0, x, y), gains.at(1, x, y), gains.at(2, x, y)};
  return {resized_at<float, Resizing::bilinear>(gains.plane(0), x, y, width, height),
          resized_at<float, Resizing::bilinear>(gains.plane(1), x, y, width, height),
          resized_at<float, Resizing::bilinear>(gains.plane(2), x, y, width, height)};
}

template <class T>
RM_HD float sharpened_at(const Plane<const T>& in, int x, int y, const SharpenGains& g) {
  float row[5], column[5], outer[5];  // the sample's own row and column; the four outer rows of each column
  for (int i = 0; i < 5; ++i) {
    const int px = clamp_index(x + i - kSharpenReach, in.width);
    float s[5];
    for (int j = 0; j < 5; ++j) s[j] = static_cast<float>(in.at(px, clamp_index(y + j - kSharpenReach, in.height)));
    outer[i] = outer_sum(s[0], s[1], s[3], s[4]);
    row[i] = s[2];
    if (i == kSharpenReach) {
      for (int j = 0; j < 5; ++j) column[j] = s[j];
    }
  }
  const float corners = outer_sum(outer[0], outer[1], outer[3], outer[4]);
  const float cross = outer_sum(row[0], row[1], row[3], row[4]) + outer[2];
  return sharpened(row[2], beside_detail(row[2], row[1], row[3]), beside_detail(row[2], column[1], column[3]),
                   around_detail(row[2], corners, cross), g);
}

}  // namespace reelmend
