// Holes of a projected flow filled from the nearest places that are none: to the left, right, above and below.
//
// Where these are, is found by passes over rows and columns. A hole's own flow is not known yet: its two floats keep
// the four indices meanwhile, 16 bits each. A hole's own index says that there is no such place on that side.
#pragma once

#include "ops/splat.h"

namespace reelmend {

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
