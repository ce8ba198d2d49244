// Local correlation of two stacks of features, the cost volume of PWC-Net (Sun et al., CVPR 2018):
//   out[d](x) = 1 / C sum over c of a[c](x) b[c](x + d), 0 where x + d is outside,
// d from (-r, -r), across first, then down to (r, r). The sum runs over c in order, on CPU and GPU alike.
#pragma once

#include "core/view.h"

namespace reelmend {

constexpr int kMaxCorrelation = 16;  // radius
constexpr int kMaxChannels = 4096;

// One sum, anywhere.
RM_HD float correlation_at(const Stack<const float>& a, const Stack<const float>& b, int x, int y, int dx, int dy) {
  const int i = x + dx, j = y + dy;
  if (i < 0 || j < 0 || i >= b.first.width || j >= b.first.height) return 0.0f;
  float sum = 0.0f;
  for (int c = 0; c < a.planes; ++c) sum += a.at(c, x, y) * b.at(c, i, j);
  return sum * (1.0f / static_cast<float>(a.planes));
}

}  // namespace reelmend
