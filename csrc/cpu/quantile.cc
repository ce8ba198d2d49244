#include "ops/quantile.h"

#include "cpu/launch.h"
#include "cpu/ops.h"
#include "ops/smooth.h"

namespace reelmend::cpu {

void quantiles(const int* histograms, int rows, int bins, int points, float* out) {
  long long ranks[kMaxBins];
  int levels[kMaxBins];
  for (int row = 0; row < rows; ++row) {
    long long total = 0;
    const int n = occupied_levels(histograms + row * bins, bins, ranks, levels, &total);
    for (int k = 0; k < points; ++k) {
      out[row * points + k] = quantile_at(ranks, levels, n, total, bins, k, points);
    }
  }
}

namespace {

RM_CLONES void add_table(const float* __restrict table, float w, float* __restrict out, int n) {
  for (int i = 0; i < n; ++i) out[i] += w * table[i];
}

}  // namespace

// Row by row instead of element by element: each element still adds its terms in the order of weighted_mean.
void smooth(const float* tables, const float* weights, int count, int n, float* out) {
  std::fill(out, out + n, 0.0f);
  for (int k = 0; k < count; ++k) add_table(tables + static_cast<long long>(k) * n, weights[k], out, n);
}

}  // namespace reelmend::cpu
