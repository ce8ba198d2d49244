// How the CPU scatters: bands of output rows, each summed by one worker in memory that stays in its cache.
//
// A band reads the chunks of source rows that reach it, found first; so a worker writes to its own memory alone. A
// place outside the band or the picture is clamped to a margin of two cells on each side, which is thrown away: so the
// inner loops hold no test. Where the flow scatters a chunk over many bands, each of these reads the chunk.
//
// Scratch is the caller's: int32 words, a table of reaches, then for each slot (worker) the cells of a band.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>

#if defined(__SSE4_1__)
#include <smmintrin.h>
#endif

#include "cpu/launch.h"
#include "ops/splat.h"

namespace reelmend::cpu {

constexpr int kScatterChunk = 128;  // source pixels
constexpr int kMargin = 2;
constexpr int64_t kBandBytes = 3 << 18;  // of cells; a second-level cache holds a band
constexpr int kLeastBand = 16;           // rows

struct BandShape {
  BandShape(int w, int h, int sums, bool by_metric) : width(w), height(h) {
    stride = w + 2 * kMargin;
    chunks = (w + kScatterChunk - 1) / kScatterChunk;
    const int64_t row_bytes = static_cast<int64_t>(stride) * sums * 8;
    const int most = static_cast<int>(std::max<int64_t>(kLeastBand, std::min<int64_t>(kBandBytes / row_bytes, h)));
    bands = std::max(1, (h + most - 1) / most);
    rows = (h + bands - 1) / bands;
    cells = static_cast<int64_t>(rows + 2 * kMargin) * stride;
    const auto whole_lines = [](int64_t words) { return (words + 15) / 16 * 16; };
    table_words = whole_lines(static_cast<int64_t>(h) * (1 + chunks) * 2);
    cell_words = whole_lines(cells * sums * 2);
    slot_words = cell_words + (by_metric ? whole_lines(cells) : 0);
  }

  int first_row(int band) const { return static_cast<int>(static_cast<int64_t>(height) * band / bands); }

  int width, height, stride, chunks, bands, rows;
  int64_t cells, table_words, cell_words, slot_words;  // words of 32 bits
};

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

// Where the pixels of a chunk go: the first of four cells, from the band's first cell inside; and the four corners.
struct Aim {
  Extent extent;
  float scale, x, y;
  float first_row, rows, width;
  int stride;
};
template <class Rule>
RM_CLONES void aim_row(const Aim a, const float* __restrict u, const float* __restrict v, int* __restrict at,
                       int* __restrict corner, int n) {
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
    corner[4 * i] = static_cast<int>(c.w[0]);
    corner[4 * i + 1] = static_cast<int>(c.w[1]);
    corner[4 * i + 2] = static_cast<int>(c.w[2]);
    corner[4 * i + 3] = static_cast<int>(c.w[3]);
  }
}

// The metric of a pixel at each place it gives to. What gives nothing has no say.
template <Splat kMode>
RM_CLONES void metric_row(const float* __restrict m, int* __restrict corner, float* __restrict metric, int n) {
  for (int i = 0; i < n; ++i) {
    const float tame = tame_metric<kMode>(m[i]);
    for (int k = 0; k < 4; ++k) {
      if constexpr (kMode == Splat::linear) corner[4 * i + k] = tame > 0.0f ? corner[4 * i + k] : 0;
      metric[4 * i + k] = corner[4 * i + k] > 0 ? tame : kNoMetric;
    }
  }
}

template <Splat kMode>
RM_CLONES void weight_row(const int* __restrict corner, const float* __restrict metric, const float* __restrict most,
                          int* __restrict weight, int n) {
  for (int i = 0; i < n; ++i) weight[i] = weight_of<kMode>(corner[i], metric[i], most[i]);
}

inline void raise_most(const int* at, const float* metric, float* most, int stride, int n) {
  for (int i = 0; i < n; ++i) {
    float* const near = most + at[i];
    float* const below = near + stride;
    near[0] = max_f(near[0], metric[4 * i]);
    near[1] = max_f(near[1], metric[4 * i + 1]);
    below[0] = max_f(below[0], metric[4 * i + 2]);
    below[1] = max_f(below[1], metric[4 * i + 3]);
  }
}

inline void fetch_most(const int* at, const float* most, int stride, float* to, int n) {
  for (int i = 0; i < n; ++i) {
    std::memcpy(to + 4 * i, most + at[i], 2 * sizeof(float));
    std::memcpy(to + 4 * i + 2, most + at[i] + stride, 2 * sizeof(float));
  }
}

// Adds a chunk to the cells. values: of each pixel, 2 * ceil((planes + 1) / 2) numbers: its planes', then 1 (narrow),
// then 0 to fill.
template <class C>
constexpr int kLanes = (C::kPlanes + 2) / 2 * 2;

#if defined(__SSE4_1__)
inline __m128i load_two(const uint32_t* p) {
  return _mm_cvtepu32_epi64(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)));
}
inline void add_two(uint64_t* to, __m128i amount) {
  __m128i* const p = reinterpret_cast<__m128i*>(to);
  _mm_storeu_si128(p, _mm_add_epi64(_mm_loadu_si128(p), amount));
}

template <class C>
void add_cells(const int* at, const int* corner, const int* weight, const uint32_t* values, uint64_t* cells, int stride,
               int n) {
  const int down = stride * C::kSums;
  for (int i = 0; i < n; ++i) {
    uint64_t* const near = cells + static_cast<int64_t>(at[i]) * C::kSums;
    uint64_t* const to[4] = {near, near + C::kSums, near + down, near + down + C::kSums};
    const uint32_t* const value = values + i * kLanes<C>;
    const __m128i w = _mm_loadu_si128(reinterpret_cast<const __m128i*>(weight + 4 * i));
    const __m128i each[4] = {_mm_shuffle_epi32(w, 0x00), _mm_shuffle_epi32(w, 0x55), _mm_shuffle_epi32(w, 0xaa),
                             _mm_shuffle_epi32(w, 0xff)};
    if constexpr (C::kWide) {
      const __m128i c = _mm_loadu_si128(reinterpret_cast<const __m128i*>(corner + 4 * i));
      const __m128i top = _mm_unpacklo_epi32(w, c);
      const __m128i bottom = _mm_unpackhi_epi32(w, c);
      const __m128i both[4] = {_mm_cvtepu32_epi64(top), _mm_cvtepu32_epi64(_mm_srli_si128(top, 8)),
                               _mm_cvtepu32_epi64(bottom), _mm_cvtepu32_epi64(_mm_srli_si128(bottom, 8))};
      for (int k = 0; k < 4; ++k) {
        for (int p = 0; p < C::kPlanes; ++p) {
          const __m128i v = _mm_cvtsi32_si128(static_cast<int>(value[p]));
          add_two(to[k] + 2 * p, _mm_cvtepu32_epi64(_mm_mul_epu32(each[k], v)));
        }
        add_two(to[k] + C::kWeight, both[k]);
      }
    } else {
      __m128i v[C::kPairs];
      for (int p = 0; p < C::kPairs; ++p) v[p] = load_two(value + 2 * p);
      for (int k = 0; k < 4; ++k) {
        for (int p = 0; p < C::kPairs; ++p) add_two(to[k] + 2 * p, _mm_mul_epu32(each[k], v[p]));
      }
    }
  }
}
#else
template <class C>
void add_cells(const int* at, const int* corner, const int* weight, const uint32_t* values, uint64_t* cells, int stride,
               int n) {
  for (int i = 0; i < n; ++i) {
    uint64_t* const near = cells + static_cast<int64_t>(at[i]) * C::kSums;
    const uint32_t* const value = values + i * kLanes<C>;
    for (int k = 0; k < 4; ++k) {
      uint64_t* const to = near + ((k & 1) + (k >> 1) * stride) * C::kSums;
      const uint64_t w = static_cast<uint64_t>(weight[4 * i + k]);
      for (int p = 0; p < C::kPlanes; ++p) {
        if constexpr (C::kWide) {
          to[2 * p] += w * value[p] & 0xffffffffu;
          to[2 * p + 1] += w * value[p] >> 32;
        } else {
          to[p] += w * value[p];
        }
      }
      to[C::kWeight] += w;
      if constexpr (C::kWide) to[C::kCorner] += static_cast<uint64_t>(corner[4 * i + k]);
    }
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

// One worker's band. Rule: Tent or Box. load(x, y, n, values) fills what add_cells reads.
template <class C, Splat kMode, class Rule>
class Band {
 public:
  Band(const BandShape& shape, int* memory) : shape_(shape) {
    const int64_t inside = static_cast<int64_t>(kMargin) * shape.stride + kMargin;
    all_ = reinterpret_cast<uint64_t*>(memory);
    cells_ = all_ + inside * C::kSums;
    every_most_ = reinterpret_cast<float*>(memory + shape.cell_words);
    most_ = every_most_ + inside;
  }

  void clear(int first, int last) {
    first_ = first;
    last_ = last;
    const int64_t used = static_cast<int64_t>(last - first + 2 * kMargin) * shape_.stride;
    std::memset(all_, 0, static_cast<size_t>(used) * C::kSums * sizeof(uint64_t));
    if constexpr (kMode != Splat::average) std::fill(every_most_, every_most_ + used, kNoMetric);
  }

  void raise(const Flow& flow, const Plane<const float>& metric, int x, int y, int n) {
    aim(flow, x, y, n);
    metric_row<kMode>(row_of_floats(metric, x, y, row_[0], n), corner_, metric_, n);
    raise_most(at_, metric_, most_, shape_.stride, n);
  }

  template <class Load>
  void add(const Flow& flow, const Plane<const float>& metric, const Load& load, int x, int y, int n) {
    aim(flow, x, y, n);
    load(x, y, n, values_);
    const int* weight = corner_;
    if constexpr (kMode != Splat::average) {
      metric_row<kMode>(row_of_floats(metric, x, y, row_[0], n), corner_, metric_, n);
      fetch_most(at_, most_, shape_.stride, reached_, n);
      weight_row<kMode>(corner_, metric_, reached_, weight_, 4 * n);
      weight = weight_;
    }
    add_cells<C>(at_, corner_, weight, values_, cells_, shape_.stride, n);
  }

  const uint64_t* row(int y) const { return cells_ + static_cast<int64_t>(y - first_) * shape_.stride * C::kSums; }

 private:
  void aim(const Flow& flow, int x, int y, int n) {
    const auto f = [](int i) { return static_cast<float>(i); };
    const Aim a{{f(shape_.width - 1), f(shape_.height - 1)},
                flow.scale,
                f(x),
                f(y),
                f(first_),
                f(last_ - first_),
                f(shape_.width),
                shape_.stride};
    aim_row<Rule>(a, row_of_floats(flow.u, x, y, row_[0], n), row_of_floats(flow.v, x, y, row_[1], n), at_, corner_, n);
  }

  BandShape shape_;
  uint64_t *all_, *cells_;
  float *every_most_, *most_;
  int first_ = 0, last_ = 0;
  int at_[kScatterChunk], corner_[4 * kScatterChunk], weight_[4 * kScatterChunk];
  float row_[2][kScatterChunk], metric_[4 * kScatterChunk], reached_[4 * kScatterChunk];
  uint32_t values_[kLanes<C> * kScatterChunk] = {};
};

struct Scratch {
  int* data;
  int64_t words;
};

// Scatters, then calls store(y, cells) for every row of the result, cells being those of the row.
template <class C, Splat kMode, class Rule, class Load, class Store>
void scatter(const Flow& flow, const Plane<const float>& metric, const Scratch& scratch, const Load& load,
             const Store& store) {
  const BandShape shape(flow.u.width, flow.u.height, C::kSums, kMode != Splat::average);
  const int a_row = 1 + shape.chunks;
  Reach* const reaches = reinterpret_cast<Reach*>(scratch.data);
  parallel(shape.height, 32, [&](int first, int last) {
    float buffer[kScatterChunk];
    for (int y = first; y < last; ++y) {
      Reach* const row = reaches + static_cast<int64_t>(y) * a_row;
      row[0] = {std::numeric_limits<int>::max(), std::numeric_limits<int>::min()};
      for (int c = 0; c < shape.chunks; ++c) {
        const int x = c * kScatterChunk;
        const int n = std::min(kScatterChunk, shape.width - x);
        row[1 + c] = reach_of(row_of_floats(flow.v, x, y, buffer, n), flow.scale, y, n);
        row[0].first = std::min(row[0].first, row[1 + c].first);
        row[0].last = std::max(row[0].last, row[1 + c].last);
      }
    }
  });
  const int64_t room = (scratch.words - shape.table_words) / shape.slot_words;
  const int slots = static_cast<int>(std::min<int64_t>(room, shape.bands));
  parallel(slots, 1, [&](int first_slot, int last_slot) {
    for (int slot = first_slot; slot < last_slot; ++slot) {
      Band<C, kMode, Rule> band(shape, scratch.data + shape.table_words + slot * shape.slot_words);
      const int end = static_cast<int>(static_cast<int64_t>(shape.bands) * (slot + 1) / slots);
      for (int b = static_cast<int>(static_cast<int64_t>(shape.bands) * slot / slots); b < end; ++b) {
        const int first = shape.first_row(b);
        const int last = shape.first_row(b + 1);
        const auto each = [&](const auto& call) {
          for (int y = 0; y < shape.height; ++y) {
            const Reach* const row = reaches + static_cast<int64_t>(y) * a_row;
            if (!row[0].meets(first, last)) continue;
            for (int c = 0; c < shape.chunks; ++c) {
              const int x = c * kScatterChunk;
              if (row[1 + c].meets(first, last)) call(x, y, std::min(kScatterChunk, shape.width - x));
            }
          }
        };
        band.clear(first, last);
        if constexpr (kMode != Splat::average) each([&](int x, int y, int n) { band.raise(flow, metric, x, y, n); });
        each([&](int x, int y, int n) { band.add(flow, metric, load, x, y, n); });
        for (int y = first; y < last; ++y) store(y, band.row(y));
      }
    }
  });
}

inline int64_t scatter_words(const BandShape& shape, int workers) {
  return shape.table_words + shape.slot_words * std::min(workers, shape.bands);
}

}  // namespace reelmend::cpu
