// The rows of a scatter on the CPU: where a chunk of source pixels goes, what it weighs there, and its additions.
//
// Places are clamped to a margin of two cells around the band of output rows that is summed (cpu/scatter.h), which is
// thrown away: so no loop tests for a border. Cells are added to in pairs of 64-bit sums.
#pragma once

#include <algorithm>
#include <cstdint>

#if defined(__SSE4_1__)
#include <smmintrin.h>
#endif

#include "cpu/launch.h"
#include "ops/projection.h"

namespace reelmend::cpu {

constexpr int kScatterChunk = 128;  // source pixels
constexpr int kMargin = 2;

// One array for each of the four cells that a pixel gives to; each a cache line longer than a chunk (cpu/warp.cc).
constexpr int kScatterRoom = kScatterChunk + 16;
template <class T>
using FourRows = T[4][kScatterRoom];

// Rows that a run of source pixels gives to: first .. last.
struct Reach {
  int first, last;
  bool meets(int from, int to) const { return first < to && last >= from; }
};

static RM_CLONES Reach reach_of(const float* __restrict v, float scale, int y, int n) {
  int low = 1 << 30, high = -(1 << 30);
  for (int i = 0; i < n; ++i) {
    const int whole = static_cast<int>(shift_of(v[i], scale).whole);
    low = whole < low ? whole : low;
    high = whole > high ? whole : high;
  }
  return {y + low, y + high + 1};
}

// For the pixels of a chunk: the first of the cells they give to, counted from the band's first one inside, and what
// they give to each, cell by cell.
struct Aim {
  Extent extent;
  float scale, x, y;
  float first_row, rows, width;
  int stride;
};
template <class Rule>
RM_CLONES void aim_row(const Aim a, const float* __restrict u, const float* __restrict v, int* __restrict at,
                       int* __restrict c0, int* __restrict c1, int* __restrict c2, int* __restrict c3, int n) {
  constexpr float kOut = -kMargin;
  for (int i = 0; i < n; ++i) {
    const Shift su = shift_of(u[i], a.scale);
    const Shift sv = shift_of(v[i], a.scale);
    const float x = a.x + static_cast<float>(i) + su.whole;
    const float y = a.y + sv.whole;
    const Corners c = Rule::corners(a.extent, x, su.part, y, sv.part);
    const int column = static_cast<int>(clamp_f(x, kOut, a.width));
    const int row = static_cast<int>(clamp_f(y - a.first_row, kOut, a.rows));
    at[i] = row * a.stride + column;
    c0[i] = static_cast<int>(c.w[0]);
    if constexpr (Rule::kCorners == 4) {
      c1[i] = static_cast<int>(c.w[1]);
      c2[i] = static_cast<int>(c.w[2]);
      c3[i] = static_cast<int>(c.w[3]);
    }
  }
}

template <Splat kMode>
RM_CLONES void tame_row(const float* __restrict m, float* __restrict to, int n) {
  for (int i = 0; i < n; ++i) to[i] = tame_metric<kMode>(m[i]);
}

// A metric of 0 gives nothing to linear weights.
static RM_CLONES void drop_row(const float* __restrict metric, int* __restrict corner, int n) {
  for (int i = 0; i < n; ++i) corner[i] = metric[i] > 0.0f ? corner[i] : 0;
}

// What is given nothing hears nothing.
static RM_CLONES void say_row(const float* __restrict metric, const int* __restrict corner, float* __restrict said,
                              int n) {
  for (int i = 0; i < n; ++i) said[i] = corner[i] > 0 ? metric[i] : kNoMetric;
}

template <Splat kMode>
RM_CLONES void weight_row(const int* __restrict corner, const float* __restrict metric, const float* __restrict most,
                          int* __restrict weight, int n) {
  for (int i = 0; i < n; ++i) weight[i] = weight_of<kMode>(corner[i], metric[i], most[i]);
}

static RM_CLONES void depth_weight_row(const int* __restrict corner, const float* __restrict metric, float most,
                                       int* __restrict weight, int n) {
  for (int i = 0; i < n; ++i) weight[i] = depth_weight_of(corner[i], metric[i], most);
}

// values: of each pixel its planes', then 1 (narrow), then 0 to fill an even number.
template <class C>
constexpr int kLanes = (C::kPlanes + 2) / 2 * 2;

#if defined(__SSE4_1__)
inline __attribute__((always_inline)) __m128i load_two(const uint32_t* p) {
  return _mm_cvtepu32_epi64(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)));
}
inline __attribute__((always_inline)) void add_two(uint64_t* to, __m128i amount) {
  __m128i* const p = reinterpret_cast<__m128i*>(to);
  _mm_storeu_si128(p, _mm_add_epi64(_mm_loadu_si128(p), amount));
}
// Four numbers of four pixels, pixel by pixel.
inline __attribute__((always_inline)) void turn(const FourRows<int>& from, int i, __m128i* to) {
  const auto load = [&](int k) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from[k] + i)); };
  const __m128i a = _mm_unpacklo_epi32(load(0), load(1)), b = _mm_unpacklo_epi32(load(2), load(3));
  const __m128i c = _mm_unpackhi_epi32(load(0), load(1)), d = _mm_unpackhi_epi32(load(2), load(3));
  to[0] = _mm_unpacklo_epi64(a, b);
  to[1] = _mm_unpackhi_epi64(a, b);
  to[2] = _mm_unpacklo_epi64(c, d);
  to[3] = _mm_unpackhi_epi64(c, d);
}

// What raise_most left at the four places of each pixel, two by two.
inline void fetch_most(const int* at, const float* most, int stride, FourRows<float>& to, int n) {
  const auto load = [&](int i) {
    const float* const near = most + at[i];
    const __m128i top = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(near));
    const __m128i bottom = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(near + stride));
    return _mm_castsi128_ps(_mm_unpacklo_epi64(top, bottom));
  };
  int i = 0;
  for (; i + 4 <= n; i += 4) {
    __m128 a = load(i), b = load(i + 1), c = load(i + 2), d = load(i + 3);
    _MM_TRANSPOSE4_PS(a, b, c, d);
    _mm_storeu_ps(to[0] + i, a);
    _mm_storeu_ps(to[1] + i, b);
    _mm_storeu_ps(to[2] + i, c);
    _mm_storeu_ps(to[3] + i, d);
  }
  for (; i < n; ++i) {
    const float* const near = most + at[i];
    for (int k = 0; k < 4; ++k) to[k][i] = near[(k & 1) + (k >> 1) * stride];
  }
}

// One by one: a load of two places, of which the pixel before wrote one, would wait for that write to reach the cache.
inline void raise_most(const int* at, const FourRows<float>& said, float* most, int stride, int n) {
  const auto raise = [](float* p, float m) { _mm_store_ss(p, _mm_max_ss(_mm_load_ss(p), _mm_set_ss(m))); };
  for (int i = 0; i < n; ++i) {
    float* const near = most + at[i];
    raise(near, said[0][i]);
    raise(near + 1, said[1][i]);
    raise(near + stride, said[2][i]);
    raise(near + stride + 1, said[3][i]);
  }
}

// Four sums in one 256-bit register where a clone has them; else two and two.
using FourSums = long long __attribute__((vector_size(32), aligned(8), may_alias));

template <int kPairs>
inline __attribute__((always_inline)) void add_pairs(uint64_t* to, const __m128i* amount) {
  int p = 0;
  for (; p + 2 <= kPairs; p += 2) {
    FourSums* const four = reinterpret_cast<FourSums*>(to + 2 * p);
    *four += __builtin_shufflevector(amount[p], amount[p + 1], 0, 1, 2, 3);
  }
  if constexpr (kPairs % 2 == 1) add_two(to + 2 * p, amount[p]);
}

template <class C>
inline __attribute__((always_inline)) void add_pixel(uint64_t* near, int down, __m128i weights, __m128i corners,
                                                     const uint32_t* value) {
  uint64_t* const to[4] = {near, near + C::kSums, near + down, near + down + C::kSums};
  const __m128i each[4] = {_mm_shuffle_epi32(weights, 0x00), _mm_shuffle_epi32(weights, 0x55),
                           _mm_shuffle_epi32(weights, 0xaa), _mm_shuffle_epi32(weights, 0xff)};
  const __m128i top = _mm_unpacklo_epi32(weights, corners);
  const __m128i bottom = _mm_unpackhi_epi32(weights, corners);
  const __m128i both[4] = {_mm_cvtepu32_epi64(top), _mm_cvtepu32_epi64(_mm_srli_si128(top, 8)),
                           _mm_cvtepu32_epi64(bottom), _mm_cvtepu32_epi64(_mm_srli_si128(bottom, 8))};
  for (int k = 0; k < 4; ++k) {
    __m128i amount[C::kPairs];
    if constexpr (C::kWide) {
      for (int p = 0; p < C::kPlanes; ++p) {
        const __m128i v = _mm_cvtsi32_si128(static_cast<int>(value[p]));
        amount[p] = _mm_cvtepu32_epi64(_mm_mul_epu32(each[k], v));
      }
      amount[C::kPlanes] = both[k];
    } else {
      for (int p = 0; p < C::kPairs; ++p) amount[p] = _mm_mul_epu32(each[k], load_two(value + 2 * p));
    }
    add_pairs<C::kPairs>(to[k], amount);
  }
}

template <class C>
RM_CLONES void add_cells(const int* at, const FourRows<int>& corner, const FourRows<int>& weight,
                         const uint32_t* values, uint64_t* cells, int stride, int n) {
  const int down = stride * C::kSums;
  for (int i = 0; i < n; i += 4) {
    __m128i w[4], c[4] = {};
    turn(weight, i, w);
    if constexpr (C::kWide) turn(corner, i, c);
    const int count = std::min(4, n - i);
    for (int j = 0; j < count; ++j) {
      add_pixel<C>(cells + static_cast<int64_t>(at[i + j]) * C::kSums, down, w[j], c[j], values + (i + j) * kLanes<C>);
    }
  }
}

// Two planes, and nothing else among the values, to one cell alone. Corners are not summed.
template <class C>
void add_cells(const int* at, const int* weight, const uint32_t* values, uint64_t* cells, int n) {
  for (int i = 0; i < n; ++i) {
    uint64_t* const to = cells + static_cast<int64_t>(at[i]) * C::kSums;
    const __m128i both = _mm_mul_epu32(_mm_set1_epi32(weight[i]), load_two(values + 2 * i));
    if constexpr (C::kWide) {
      add_two(to, _mm_cvtepu32_epi64(both));
      add_two(to + 2, _mm_cvtepu32_epi64(_mm_srli_si128(both, 8)));
    } else {
      add_two(to, both);
    }
    to[C::kWeight] += static_cast<uint64_t>(weight[i]);
  }
}
#else
inline void fetch_most(const int* at, const float* most, int stride, FourRows<float>& to, int n) {
  for (int i = 0; i < n; ++i) {
    for (int k = 0; k < 4; ++k) to[k][i] = most[at[i] + (k & 1) + (k >> 1) * stride];
  }
}

inline void raise_most(const int* at, const FourRows<float>& said, float* most, int stride, int n) {
  for (int i = 0; i < n; ++i) {
    for (int k = 0; k < 4; ++k) {
      float* const to = most + at[i] + (k & 1) + (k >> 1) * stride;
      *to = max_f(*to, said[k][i]);
    }
  }
}

template <class C>
void add_cell(uint64_t* to, uint64_t weight, const uint32_t* value) {
  for (int p = 0; p < C::kPlanes; ++p) {
    if constexpr (C::kWide) {
      to[2 * p] += weight * value[p] & 0xffffffffu;
      to[2 * p + 1] += weight * value[p] >> 32;
    } else {
      to[p] += weight * value[p];
    }
  }
  to[C::kWeight] += weight;
}

template <class C>
void add_cells(const int* at, const FourRows<int>& corner, const FourRows<int>& weight, const uint32_t* values,
               uint64_t* cells, int stride, int n) {
  for (int i = 0; i < n; ++i) {
    uint64_t* const near = cells + static_cast<int64_t>(at[i]) * C::kSums;
    for (int k = 0; k < 4; ++k) {
      uint64_t* const to = near + ((k & 1) + (k >> 1) * stride) * C::kSums;
      add_cell<C>(to, static_cast<uint64_t>(weight[k][i]), values + i * kLanes<C>);
      if constexpr (C::kWide) to[C::kCorner] += static_cast<uint64_t>(corner[k][i]);
    }
  }
}

template <class C>
void add_cells(const int* at, const int* weight, const uint32_t* values, uint64_t* cells, int n) {
  for (int i = 0; i < n; ++i) {
    add_cell<C>(cells + static_cast<int64_t>(at[i]) * C::kSums, static_cast<uint64_t>(weight[i]), values + 2 * i);
  }
}
#endif

template <class C, class T>
RM_CLONES void mean_row(const uint64_t* __restrict cells, int plane, float* __restrict to, int n) {
  for (int i = 0; i < n; ++i) to[i] = mean_of<C, T>(cells + i * C::kSums, plane);
}
template <class C>
RM_CLONES void coverage_row(const uint64_t* __restrict cells, float* __restrict to, int n) {
  for (int i = 0; i < n; ++i) to[i] = coverage_of<C>(cells + i * C::kSums);
}

// A row of floats as it lies, or copied to `buffer` where it is strided.
inline const float* row_of_floats(const Plane<const float>& p, int x, int y, float* buffer, int n) {
  if (p.step == 1) return p.row(y) + x;
  load_row(p.row(y) + x * p.step, p.step, buffer, n);
  return buffer;
}

// A row of floats written by fill(to), to where it lies or by way of `buffer`.
template <class F>
void write_floats(const Plane<float>& p, int x, int y, float* buffer, int n, const F& fill) {
  if (p.step == 1) return fill(p.row(y) + x);
  fill(buffer);
  store_row(buffer, p.row(y) + x * p.step, p.step, 0.0f, n);
}

}  // namespace reelmend::cpu
