// A flow smoothed along a guide picture: the joint bilateral filter (Petschnigg et al. and Eisemann and Durand,
// SIGGRAPH 2004), sum w(x, y) F(y) / sum w(x, y) over y within `radius` pixels each way and inside the picture, with
//   w(x, y) = space[|dx|] space[|dy|] range[|guide(x) - guide(y)|] confidence(y)
// Weights come from tables, so no exponential stands here. Samples of a flow that are NaN or infinite weigh nothing; so
// they are filled from around. Sums run over rows from the top and in a row from the left, on CPU and GPU alike.
#pragma once

#include "core/view.h"
#include "ops/flow.h"

namespace reelmend {

constexpr int kMaxBilateralRadius = 32;

struct BilateralTables {
  const float* space;  // radius + 1 weights by distance
  const float* range;  // last + 1 weights by difference of the guide, `steps` to 1 of it
  int radius;
  float steps;
  float last;
};

// The place of a difference in the table of the range. Ordered so that NaN gives 0.
RM_HD int range_place(const BilateralTables& t, float difference) {
  return static_cast<int>(min_f(max_f(0.0f, fabsf(difference) * t.steps + 0.5f), t.last));
}

RM_HD float is_finite(float v) {
  return v - v == 0.0f ? 1.0f : 0.0f;
}

struct FlowSum {
  float u, v, weight;
};

// What a sum gives; where nothing weighed, the pixel's own flow stays, 0 for what is not finite.
RM_HD float weighed(float sum, float weight, float own) {
  return weight > 0.0f ? sum / weight : (own - own == 0.0f ? own : 0.0f);
}

// One sum, for the GPU. A null confidence is 1 everywhere.
template <class T>
RM_HD FlowSum bilateral_at(const BilateralTables& t, const FlowField<const float>& flow, const Plane<const T>& guide,
                           const Plane<const float>& confidence, int x, int y) {
  const float here = static_cast<float>(guide.at(x, y));
  FlowSum sum{0.0f, 0.0f, 0.0f};
  for (int dy = -t.radius; dy <= t.radius; ++dy) {
    if (y + dy < 0 || y + dy >= guide.height) continue;
    const float far = t.space[dy < 0 ? -dy : dy];
    for (int dx = -t.radius; dx <= t.radius; ++dx) {
      if (x + dx < 0 || x + dx >= guide.width) continue;
      const float u = flow.u.at(x + dx, y + dy), v = flow.v.at(x + dx, y + dy);
      const float known = is_finite(u) * is_finite(v);
      const float trust = known * (confidence.data ? max_f(0.0f, confidence.at(x + dx, y + dy)) : 1.0f);
      const float space = far * t.space[dx < 0 ? -dx : dx];
      const float w = space * t.range[range_place(t, here - static_cast<float>(guide.at(x + dx, y + dy)))] * trust;
      sum.u += w * (known != 0.0f ? u : 0.0f);
      sum.v += w * (known != 0.0f ? v : 0.0f);
      sum.weight += w;
    }
  }
  return sum;
}

}  // namespace reelmend
