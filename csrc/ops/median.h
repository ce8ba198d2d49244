// The median of 3 x 3 or 5 x 5 samples by a network of exchanges: no branch, the same steps for every pixel.
//
// Columns are sorted first; neighbours of a row share them. What remains is a network over the sorted columns: row k of
// them holds the k-th smallest of each. Of 9 samples the median is that of the largest of the smallest, the median of
// the middle and the smallest of the largest (J. L. Smith, "Implementing median filters in XC4000E FPGAs", 1996). Of
// 25 the network below sorts the rows as far as is needed (an entry that more than 12 others bound from one side is no
// median) and then selects the 7th of 13; it was found by a greedy search and is proved by the 0-1 principle over all
// columns (6^5 cases), which tests/ops/test_median.py does again.
#pragma once

#include <utility>

#include "core/view.h"

namespace reelmend {

RM_HD void order(float& low, float& high) {
  const float a = low, b = high;
  low = min_f(a, b);
  high = max_f(a, b);
}

// NaN and infinity count as 0, as in a warp.
RM_HD float finite_or_zero(float v) {
  return v - v == 0.0f ? v : 0.0f;
}

// Exchanges (low, high) that sort a column, then those that leave the median of the sorted columns at kMiddle;
// places are row * size + column.
template <int kSize>
struct MedianNetwork;

template <>
struct MedianNetwork<3> {
  static constexpr int kColumn[][2] = {{0, 1}, {1, 2}, {0, 1}};
  static constexpr int kSelect[][2] = {{0, 1}, {1, 2}, {7, 8}, {6, 7}, {3, 4}, {4, 5}, {3, 4}, {2, 4}, {4, 6}, {2, 4}};
  static constexpr int kMiddle = 4;
};

template <>
struct MedianNetwork<5> {
  static constexpr int kColumn[][2] = {{0, 1}, {3, 4}, {2, 4}, {2, 3}, {1, 4}, {0, 3}, {0, 2}, {1, 3}, {1, 2}};
  static constexpr int kSelect[][2] = {
      {0, 1},   {3, 4},   {2, 4},   {2, 3},   {1, 4},   {0, 3},   {0, 2},   {1, 3},   {1, 2},   {20, 21}, {23, 24},
      {22, 24}, {22, 23}, {21, 24}, {20, 23}, {20, 22}, {21, 23}, {21, 22}, {5, 6},   {8, 9},   {7, 9},   {7, 8},
      {6, 9},   {5, 8},   {5, 7},   {6, 8},   {6, 7},   {15, 16}, {18, 19}, {17, 19}, {17, 18}, {16, 19}, {15, 18},
      {15, 17}, {16, 18}, {16, 17}, {10, 11}, {13, 14}, {12, 14}, {12, 13}, {11, 14}, {10, 13}, {10, 12}, {11, 13},
      {11, 12}, {3, 7},   {4, 17},  {4, 11},  {9, 13},  {8, 15},  {9, 21},  {7, 16},  {11, 12}, {9, 11},  {9, 15},
      {9, 16},  {11, 12}, {12, 15}, {11, 12}, {12, 16}, {11, 12}, {11, 20}, {12, 20}};
  static constexpr int kMiddle = 12;
};

template <int kSize, int... I>
RM_HD void sort_column(float* v, std::integer_sequence<int, I...>) {
  using N = MedianNetwork<kSize>;
  (order(v[std::integral_constant<int, N::kColumn[I][0]>::value],
         v[std::integral_constant<int, N::kColumn[I][1]>::value]),
   ...);
}

template <int kSize, int... I>
RM_HD float select_median(float* v, std::integer_sequence<int, I...>) {
  using N = MedianNetwork<kSize>;
  (order(v[std::integral_constant<int, N::kSelect[I][0]>::value],
         v[std::integral_constant<int, N::kSelect[I][1]>::value]),
   ...);
  return v[N::kMiddle];
}

// kSize samples from top to bottom.
template <int kSize>
RM_HD void sort_column(float* v) {
  constexpr int kSteps = sizeof(MedianNetwork<kSize>::kColumn) / sizeof(int[2]);
  sort_column<kSize>(v, std::make_integer_sequence<int, kSteps>{});
}

// kSize^2 samples, columns sorted.
template <int kSize>
RM_HD float select_median(float* v) {
  constexpr int kSteps = sizeof(MedianNetwork<kSize>::kSelect) / sizeof(int[2]);
  return select_median<kSize>(v, std::make_integer_sequence<int, kSteps>{});
}

// One sample, for the GPU. Edges are repeated.
template <int kSize>
RM_HD float median_at(const Plane<const float>& p, int x, int y) {
  float all[kSize * kSize];
  for (int i = 0; i < kSize; ++i) {
    float column[kSize];
    for (int j = 0; j < kSize; ++j) {
      column[j] =
          finite_or_zero(p.at(clamp_index(x + i - kSize / 2, p.width), clamp_index(y + j - kSize / 2, p.height)));
    }
    sort_column<kSize>(column);
    for (int j = 0; j < kSize; ++j) all[j * kSize + i] = column[j];
  }
  return select_median<kSize>(all);
}

}  // namespace reelmend
