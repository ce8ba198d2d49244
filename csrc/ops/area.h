// Means over a grid of tiles that cover a plane: the low-resolution picture that cut detection looks at.
#pragma once

#include "core/view.h"

namespace reelmend {

// First sample of tile i of n over `size` samples; tiles differ by at most one, and hold at least one.
RM_HD int tile_begin(int i, int n, int size) {
  return static_cast<int>(static_cast<long long>(i) * size / n);
}

RM_HD float tile_mean(unsigned long long sum, int samples) {
  return static_cast<float>(static_cast<double>(sum) / static_cast<double>(samples));
}

}  // namespace reelmend
