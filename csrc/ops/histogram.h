// Histogram bins of a pixel, per channel and of V = max(R, G, B) (the value of HSV).
//
// Bin l of n holds the values nearest to l / (n - 1) of white, so with as many bins as codes each code has its own.
#pragma once

#include "ops/color.h"

namespace reelmend {

constexpr int kMaxBins = 1024;
constexpr int kHistograms = 4;  // R, G, B, V

struct BinScale {
  float scale;  // bins - 1 for white
  float last;   // bins - 1
};

RM_HD int bin_of(const BinScale& s, float value) {
  return static_cast<int>(min_f(max_f(value * s.scale + 0.5f, 0.0f), s.last));
}

RM_HD int max3(int a, int b, int c) {
  const int m = a < b ? b : a;
  return m < c ? c : m;
}

// Which pixels are counted: a rectangle (letterbox left out), every `skip`-th row and column of it.
struct Sampling {
  int x0, y0, x1, y1;
  int skip;
  RM_HD int columns() const { return (x1 - x0 + skip - 1) / skip; }
  RM_HD int rows() const { return (y1 - y0 + skip - 1) / skip; }
};

}  // namespace reelmend
