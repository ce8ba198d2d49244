// Forward warping: each pixel (x, y) of a picture is given to the four whole places around (x + u, y + v); a place
// takes the mean of what it was given, by weight.
//
// Coordinates are those of the backward warp (ops/warp.h): pixel centres at integers, u to the right, v down; a
// displacement is split into whole pixels and a fraction before it meets the pixel's own coordinate.
//
// Sums are of integers, so they do not depend on their order: not on threads, nor on the GPU's scheduling.
//   corner    what a pixel gives to one place: 0 .. 2^16, in units of 2^-16 pixel. The four of a bilinear weight are
//             rounded so that both marginals stay whole: they add up to 2^16 exactly, and to the place of the pixel,
//             rounded to 2^-16 of a pixel in x and in y.
//   weight    the corner, or, where pixels compete by a metric, corner * share, rounded to units of 2^-30 of a pixel.
//             share = exp(m - M) (softmax) or m / M (linear), where M is the largest metric given to this place with
//             a corner above 0: found first, in a pass of its own. So shares lie in 0..1 and one of them is 1: no
//             metric overflows, and no place that was reached loses all of its weight, whatever the metric's range.
//             What weighs less than 2^-31 of a pixel (for its share) rounds to nothing beside that one.
//   value     uint8, uint16: the sample. float32: clamped to -2^15 .. 2^15 - 2^-9, rounded to units of 2^-16, and 2^31
//             of these added, so that it is not negative: 0 .. 2^32 - 128.
// Bounds, should all of n < 2^31 pixels (offsets are of 32 bits) meet in one place:
//   narrow cells (integer samples, no metric): sums of weight * value < 2^31 * 2^16 * 2^16 = 2^63
//   wide cells: weight * value < 2^30 * 2^32 is added as its low and its high 32 bits, so both sums are < 2^63; sums of
//   weights < 2^31 * 2^30. All fit in 64 bits. What is thrown away (cpu/scatter_rows.h) may wrap.
// Errors. A corner errs by less than 1.6 units: half a unit for the place in x, in y, and for its own rounding. So n
// pixels that gave a place W pixels of weight in all err by less than n / W * 2^-15 of the spread of their values; a
// metric adds the error of exp_of, and floats are off by 2^-17 from the start. Quotients are of float64, rounded once
// to float32. A pixel alone in a place comes out as it was, and so does a picture that moves by whole pixels.
#pragma once

#include <cstring>

#include "core/bits.h"
#include "ops/warp.h"

namespace reelmend {

enum class Splat { average, linear, softmax };

// Offsets of samples within a cell, of 64-bit sums; an even number of them, so that pairs are moved at once.
//   narrow: a value sum a plane, then the weight sum
//   wide: low and high value sums of each plane, then the weight sum and the sum of corners
template <int N, bool kWideCell>
struct Cell {
  static constexpr int kPlanes = N;
  static constexpr bool kWide = kWideCell;
  static constexpr int kPairs = kWide ? N + 1 : (N + 2) / 2;
  static constexpr int kSums = 2 * kPairs;
  static constexpr int kWeight = kWide ? 2 * N : N;
  static constexpr int kCorner = kWide ? 2 * N + 1 : N;
};

constexpr float kCornerUnit = 65536.0f;
constexpr float kShareUnit = 16384.0f;

struct Extent {
  float last_x, last_y;
};

// What a pixel gives to (0, 0), (1, 0), (0, 1), (1, 1) from its place; whole numbers.
struct Corners {
  float w[4];
};

// Bilinear. Fractions in units of 2^-16. The product is rounded in fp32 (to 2^-8 of a unit), so the other three, which
// are differences, miss their exact values by less than 0.51: being whole, they are not negative.
struct Tent {
  static constexpr int kCorners = 4;
  RM_HD static Corners corners(const Extent&, float, float part_x, float, float part_y) {
    const float x = floorf(part_x * kCornerUnit + 0.5f);
    const float y = floorf(part_y * kCornerUnit + 0.5f);
    const float both = floorf(x * y * (1.0f / kCornerUnit) + 0.5f);
    return {{(kCornerUnit - x) - (y - both), x - both, y - both, both}};
  }
};

// exp(d) for d <= 0, and 0 below -40. exp(d) = 2^k 2^f with k + f = d / ln 2, k whole and |f| <= 1/2. 2^f is
// 1 + f p(f) with p the polynomial of degree 4 of least relative error (1e-7); the rounding of d / ln 2 adds up to
// 2e-6 at -40. exp(0) = 1 exactly.
RM_HD float exp_of(float d) {
  const float t = max_f(d, -40.0f) * 1.442695041f;
  const float k = floorf(t + 0.5f);
  const float f = t - k;
  float p = 1.326472731e-3f;
  p = p * f + 9.671512991e-3f;
  p = p * f + 5.550733581e-2f;
  p = p * f + 2.402224243e-1f;
  p = p * f + 6.931470037e-1f;
  const float value = (p * f + 1.0f) * float_of_bits((static_cast<int>(k) + 127) << 23);
  return d < -40.0f ? 0.0f : value;
}

constexpr float kMostMetric = 1.2676506e30f;  // 2^100
constexpr float kNoMetric = -3.3e38f;         // of a place that was given nothing

// A metric as it is used: NaN counts as the least there is; for linear weights that is 0, which gives nothing.
template <Splat kMode>
RM_HD float tame_metric(float m) {
  const float least = kMode == Splat::softmax ? -kMostMetric : 0.0f;
  return min_f(max_f(least, m), kMostMetric);
}

template <Splat kMode>
RM_HD float share_of(float m, float most) {
  if constexpr (kMode == Splat::softmax) return exp_of(min_f(m - most, 0.0f));
  return max_f(0.0f, min_f(1.0f, m / most));
}

// In units of 2^-30 of a pixel, below 2^31.
template <Splat kMode>
RM_HD int weight_of(int corner, float m, float most) {
  if constexpr (kMode == Splat::average) return corner;
  const float weight = static_cast<float>(corner) * (share_of<kMode>(m, most) * kShareUnit);
  return corner > 0 ? static_cast<int>(weight + 0.5f) : 0;
}

// Whole numbers from -2^31; every step is exact in fp32.
RM_HD float nearest(float v) {
  const float whole = floorf(v);
  return v - whole >= 0.5f ? whole + 1.0f : whole;
}
constexpr float kFixedUnit = 65536.0f;
constexpr float kFixedMost = 2147483520.0f;  // the last float below 2^31

template <class T>
RM_HD uint32_t fixed_of(T v) {
  return v;
}
template <>
RM_HD uint32_t fixed_of<float>(float v) {
  const float finite = v == v ? v : 0.0f;
  const float units = nearest(min_f(max_f(finite * kFixedUnit, -2147483648.0f), kFixedMost));
  return static_cast<uint32_t>(static_cast<int>(units)) ^ 0x80000000u;
}

// Rounded once, by the last addition: the halves stand in the low bits of 2^84 and of 2^52. Plain integer and float
// operations, which GCC vectorises for every x86-64.
RM_HD double double_of(uint64_t n) {
  const uint64_t high = n >> 32 | 0x4530000000000000u;
  const uint64_t low = (n & 0xffffffffu) | 0x4330000000000000u;
  double h, l;
  std::memcpy(&h, &high, sizeof h);
  std::memcpy(&l, &low, sizeof l);
  return (h - 19342813118337666422669312.0) + l;
}

// The mean a cell holds of one plane; 0 where it was given nothing.
template <class C, class T>
RM_HD float mean_of(const uint64_t* cell, int plane) {
  const double weight = double_of(cell[C::kWeight]);
  const double divisor = weight > 0.0 ? weight : 1.0;
  if constexpr (!C::kWide) {
    const double sum = double_of(cell[plane]);
    if constexpr (std::is_same_v<T, float>) {
      return static_cast<float>((sum - weight * 2147483648.0) / divisor * (1.0 / 65536.0));
    }
    return static_cast<float>(sum / divisor);
  } else {
    const double low = double_of(cell[2 * plane]);
    const double high = double_of(cell[2 * plane + 1]);
    if constexpr (std::is_same_v<T, float>) {
      const double units = (high * 2.0 - weight) * 2147483648.0 + low;
      return static_cast<float>(units / divisor * (1.0 / 65536.0));
    }
    return static_cast<float>((high * 4294967296.0 + low) / divisor);
  }
}

// In pixels.
template <class C>
RM_HD float coverage_of(const uint64_t* cell) {
  return static_cast<float>(double_of(cell[C::kCorner]) * (1.0 / 65536.0));
}

// Calls f with a Cell of `count` planes.
template <bool kWide, class F>
auto with_cell(int count, const F& f) {
  if (count == 1) return f(Cell<1, kWide>{});
  if (count == 2) return f(Cell<2, kWide>{});
  if (count == 3) return f(Cell<3, kWide>{});
  return f(Cell<4, kWide>{});
}

// Calls f with a Cell and the mode as types; T is a sample's.
template <Splat kMode>
struct ModeOf {
  static constexpr Splat kValue = kMode;
};
template <class T, class F>
auto with_splat(Splat mode, int count, const F& f) {
  if (mode == Splat::average) {
    return with_cell<std::is_same_v<T, float>>(count, [&](auto c) { return f(c, ModeOf<Splat::average>{}); });
  }
  return with_cell<true>(count, [&](auto c) {
    if (mode == Splat::linear) return f(c, ModeOf<Splat::linear>{});
    return f(c, ModeOf<Splat::softmax>{});
  });
}

}  // namespace reelmend
