// A weighted mean over time of tables (quantile functions): the barycentre of the distributions they stand for.
#pragma once

#include "core/view.h"

namespace reelmend {

// tables: count rows of n values, oldest first; weights: one a row, summing to 1.
RM_HD float weighted_mean(const float* tables, const float* weights, int count, int n, int i) {
  float sum = 0.0f;
  for (int k = 0; k < count; ++k) sum += weights[k] * tables[k * n + i];
  return sum;
}

}  // namespace reelmend
