// Arithmetic on flows: do a forward and a backward flow agree, and flows at a time between two frames.
//
// A flow F of frame a says where each of a's pixels lies in b: a(x) is b(x + F(x)). Units and signs as in warp.h.
#pragma once

#include "ops/warp.h"

namespace reelmend {

template <class T>
struct FlowField {
  Plane<T> u, v;
};

// Sundaram et al., ECCV 2010, and Ruder et al., GCPR 2016: with f a pixel's flow and b the other frame's flow where f
// leads, they agree if |f + b|^2 <= relative (|f|^2 + |b|^2) + absolute.
struct ConsistencyRule {
  float relative, absolute;
  float outside;  // the answer where f leads out of the picture ...
  float room;     // ... by more than this: 0, or infinity where no place is outside
};

// 1 up to the limit above, then falling, 0 from twice the limit. NaN and what overflows give 0.
RM_HD float agreement(const ConsistencyRule& r, float u, float v, float bu, float bv) {
  const float du = u + bu;
  const float dv = v + bv;
  const float limit = r.relative * ((u * u + v * v) + (bu * bu + bv * bv)) + r.absolute;
  return min_f(1.0f, max_f(0.0f, 2.0f - (du * du + dv * dv) / limit));
}

// In order, so that NaN is dropped: max_f(0, NaN) is 0. `before` and `after` are the pixels to the left and right
// (above and below) of this one: whole numbers, so that the comparison is exact where x + u would be rounded.
RM_HD bool leads_out(float shift, float before, float after, float room) {
  return shift < -before - room || shift > after + room;
}

RM_HD float consistency_at(const ConsistencyRule& r, int x, int y, int width, int height, float u, float v, float bu,
                           float bv) {
  const float left = static_cast<float>(x), right = static_cast<float>(width - 1 - x);
  const float above = static_cast<float>(y), below = static_cast<float>(height - 1 - y);
  const float value = agreement(r, u, v, bu, bv);
  return leads_out(u, left, right, r.room) | leads_out(v, above, below, r.room) ? r.outside : value;
}

// Two linear combinations of two flows: `first` = a[0] F01 + a[1] F10, `second` = b[0] F01 + b[1] F10.
struct FlowWeights {
  float a[2], b[2];
};

}  // namespace reelmend
