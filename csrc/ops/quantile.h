// The quantile function (inverse cumulative histogram) by mid-ranks.
//
// A level l that holds h(l) of N samples, with C(l - 1) below it, has mid-rank F(l) = (C(l - 1) + h(l) / 2) / N.
// Q(p) for p = (k + 1/2) / K runs linearly between the levels that hold something, and is constant outside the
// lowest and the highest. Mid-ranks keep a constant picture constant and make Q odd under inversion, which the
// plain cumulative sum does not.
// Ranks are compared as integers (2 K N fits in 64 bits), so CPU and GPU agree to the bit.
#pragma once

#include "core/view.h"

namespace reelmend {

// Lists the occupied levels and their doubled mid-ranks 2 C(l - 1) + h(l). Returns how many there are.
RM_HD int occupied_levels(const int* histogram, int bins, long long* ranks, int* levels, long long* total) {
  int n = 0;
  long long below = 0;
  for (int l = 0; l < bins; ++l) {
    const int h = histogram[l];
    if (h > 0) {
      ranks[n] = 2 * below + h;
      levels[n] = l;
      ++n;
      below += h;
    }
  }
  *total = below;
  return n;
}

// Q((k + 1/2) / points), as a fraction of the highest level; 0 for an empty histogram.
RM_HD float quantile_at(const long long* ranks, const int* levels, int n, long long total, int bins, int k,
                        int points) {
  if (n == 0) return 0.0f;
  const long long rank = (2LL * k + 1) * total;  // of the doubled ranks times `points`
  int lo = 0;                                    // first occupied level whose rank is not below
  int hi = n;
  while (lo < hi) {
    const int mid = (lo + hi) / 2;
    if (ranks[mid] * points < rank) {
      lo = mid + 1;
    } else {
      hi = mid;
    }
  }
  const double scale = 1.0 / (bins - 1);
  if (lo == 0) return static_cast<float>(levels[0] * scale);
  if (lo == n) return static_cast<float>(levels[n - 1] * scale);
  const long long below = ranks[lo - 1] * points;
  const double part = static_cast<double>(rank - below) / static_cast<double>(ranks[lo] * points - below);
  return static_cast<float>((levels[lo - 1] + part * (levels[lo] - levels[lo - 1])) * scale);
}

}  // namespace reelmend
