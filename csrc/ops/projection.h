// DAIN's flow projection: a pixel that passes x on its way gives the way back to the four whole places around x, alike.
//
// As all four take the same, it is added once, to the place up and to the left of x; the sums of a place are then those
// of the 2 x 2 it closes. In the last column (row) there is no neighbour further on, and its part goes to the column
// (row) itself: what landed there counts twice.
//
// Sums are of integers (ops/splat.h): values are floats in fixed point, 0 .. 2^32 - 1; a pixel weighs 1 (narrow cells),
// or 1 .. 2^30 in proportion to the largest weight of the picture (wide cells). Should all of n < 2^29 pixels meet in
// the last corner, sums stay below 4 n 2^32 <= 2^63. The mean errs by 2^-17 of a pixel and, of the spread of what
// meets, by the weights' rounding: 2^-23 each, and more where a weight is below 2^-7 of the largest.
//
// Holes are filled from the nearest places that are none: to the left, right, above and below. Where these are, is
// found by passes over rows and columns. A hole's own flow is not known yet: its two floats keep the four indices
// meanwhile, 16 bits each. A hole's own index says that there is no such place on that side.
#pragma once

#include "ops/splat.h"

namespace reelmend {

constexpr int64_t kMostProjected = int64_t{1} << 29;  // pixels

struct Box {
  static constexpr int kCorners = 1;
  RM_HD static Corners corners(const Extent& e, float place_x, float part_x, float place_y, float part_y) {
    const float x = part_x > 0.0f ? place_x + 1.0f : place_x;
    const float y = part_y > 0.0f ? place_y + 1.0f : place_y;
    const float in_x = place_x >= 0.0f ? (x <= e.last_x ? 1.0f : 0.0f) : 0.0f;
    const float in_y = place_y >= 0.0f ? (y <= e.last_y ? 1.0f : 0.0f) : 0.0f;
    return {{in_x * in_y, 0.0f, 0.0f, 0.0f}};
  }
};

// The part of a depth weight in the largest, in units of 2^-30 and at least one; 0 for none.
RM_HD int depth_weight_of(int corner, float m, float most) {
  const float units = max_f(1.0f, min_f(1.0f, m / most) * 1073741824.0f);
  return m > 0.0f ? corner * static_cast<int>(units) : 0;
}

// What a pixel's flow says to the places between the frames: the way back.
RM_HD float way_back(float flow, float t) {
  const float finite = flow - flow == 0.0f ? flow : 0.0f;
  return -(finite * t);
}

RM_HD float keep_two(int low, int high) {
  return float_of_bits(static_cast<int>(static_cast<uint32_t>(low) | static_cast<uint32_t>(high) << 16));
}
RM_HD int kept_low(float f) {
  return bits_of_float(f) & 0xffff;
}
RM_HD int kept_high(float f) {
  return static_cast<int>(static_cast<uint32_t>(bits_of_float(f)) >> 16);
}

struct Sides {
  int left, right, up, down;
};

// Added in this order.
RM_HD float mean_of_sides(const Plane<float>& p, int x, int y, const Sides& s) {
  const float left = s.left != x ? p.at(s.left, y) : 0.0f;
  const float right = s.right != x ? p.at(s.right, y) : 0.0f;
  const float up = s.up != y ? p.at(x, s.up) : 0.0f;
  const float down = s.down != y ? p.at(x, s.down) : 0.0f;
  const int found = (s.left != x ? 1 : 0) + (s.right != x ? 1 : 0) + (s.up != y ? 1 : 0) + (s.down != y ? 1 : 0);
  return ((left + right) + (up + down)) / static_cast<float>(found > 0 ? found : 1);
}

}  // namespace reelmend
