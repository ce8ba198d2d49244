// How the CPU scatters: bands of output rows, each summed by one worker in memory that stays in its cache.
//
// A band reads the chunks of source rows that reach it, found first; so a worker writes to its own memory alone. Where
// the flow scatters a chunk over many bands, each of these reads the chunk.
//
// Scratch is the caller's: int32 words, a table of reaches, then for each slot (worker) the cells of a band.
#pragma once

#include <limits>

#include "cpu/scatter_rows.h"

namespace reelmend::cpu {

constexpr int64_t kBandBytes = 1 << 21;  // of cells: the rows in work lie in the second-level cache
constexpr int kLeastBand = 16;           // rows
constexpr int kLeastBands = 4;

constexpr int kLine = 16;  // words of a cache line

// by_most: whether places keep the largest metric they were given.
struct BandShape {
  BandShape(int w, int h, int sums, bool by_most) : width(w), height(h) {
    stride = w + 2 * kMargin;
    chunks = (w + kScatterChunk - 1) / kScatterChunk;
    const int64_t row_bytes = static_cast<int64_t>(stride) * sums * 8;
    const int64_t share = (h + kLeastBands - 1) / kLeastBands;  // small pictures give work to several workers, too
    const int most = static_cast<int>(std::max<int64_t>(kLeastBand, std::min<int64_t>(kBandBytes / row_bytes, share)));
    bands = (h + most - 1) / most;
    rows = (h + bands - 1) / bands;
    cells = static_cast<int64_t>(rows + 2 * kMargin) * stride;
    const auto whole_lines = [](int64_t words) { return (words + kLine - 1) / kLine * kLine; };
    table_words = whole_lines(static_cast<int64_t>(h) * (1 + chunks) * 2);
    cell_words = whole_lines(cells * sums * 2);
    slot_words = cell_words + (by_most ? whole_lines(cells) : 0);
  }

  int first_row(int band) const { return static_cast<int>(static_cast<int64_t>(height) * band / bands); }

  int width, height, stride, chunks, bands, rows;
  int64_t cells, table_words, cell_words, slot_words;  // words of 32 bits
};

inline int64_t scatter_words(const BandShape& shape, int workers) {
  return shape.table_words + shape.slot_words * std::min(workers, shape.bands) + kLine;
}

// One worker's band. Rule: Tent (four cells a pixel) or Box (one).
template <class C, Splat kMode, class Rule>
class Band {
 public:
  static constexpr bool kByMost = kMode != Splat::average && Rule::kCorners == 4;

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
    if constexpr (kByMost) std::fill(every_most_, every_most_ + used, kNoMetric);
  }

  void raise(const Flow& flow, const Plane<const float>& metric, int x, int y, int n) {
    aim(flow, x, y, n);
    tame(metric, x, y, n);
    for (int k = 0; k < 4; ++k) say_row(metric_, corner_[k], reached_[k], n);
    raise_most(at_, reached_, most_, shape_.stride, n);
  }

  // load(x, y, n, values) fills what add_cells reads. most: the largest metric there is, for Box.
  template <class Load>
  void add(const Flow& flow, const Plane<const float>& metric, float most, const Load& load, int x, int y, int n) {
    aim(flow, x, y, n);
    load(x, y, n, values_);
    if constexpr (kMode != Splat::average) tame(metric, x, y, n);
    if constexpr (Rule::kCorners == 1) {
      if constexpr (kMode != Splat::average) depth_weight_row(corner_[0], metric_, most, weight_[0], n);
      add_cells<C>(at_, kMode == Splat::average ? corner_[0] : weight_[0], values_, cells_, n);
    } else if constexpr (kMode == Splat::average) {
      add_cells<C>(at_, corner_, corner_, values_, cells_, shape_.stride, n);
    } else {
      fetch_most(at_, most_, shape_.stride, reached_, n);
      for (int k = 0; k < 4; ++k) weight_row<kMode>(corner_[k], metric_, reached_[k], weight_[k], n);
      add_cells<C>(at_, corner_, weight_, values_, cells_, shape_.stride, n);
    }
  }

  // Of the result. The row above the band has its sums, too, where Rule is Box.
  const uint64_t* row(int y) const { return cells_ + static_cast<int64_t>(y - first_) * shape_.stride * C::kSums; }

 private:
  void aim(const Flow& flow, int x, int y, int n) {
    const auto f = [](int i) { return static_cast<float>(i); };
    const Extent extent{f(shape_.width - 1), f(shape_.height - 1)};
    const Aim a{extent, flow.scale, f(x), f(y), f(first_), f(last_ - first_), f(shape_.width), shape_.stride};
    const float* const u = row_of_floats(flow.u, x, y, row_[0], n);
    const float* const v = row_of_floats(flow.v, x, y, row_[1], n);
    aim_row<Rule>(a, u, v, at_, corner_[0], corner_[1], corner_[2], corner_[3], n);
  }

  void tame(const Plane<const float>& metric, int x, int y, int n) {
    tame_row<kMode>(row_of_floats(metric, x, y, row_[0], n), metric_, n);
    if constexpr (kByMost && kMode == Splat::linear) {
      for (int k = 0; k < 4; ++k) drop_row(metric_, corner_[k], n);
    }
  }

  BandShape shape_;
  uint64_t *all_, *cells_;
  float *every_most_, *most_;
  int first_ = 0, last_ = 0;
  int at_[kScatterRoom];
  FourRows<int> corner_ = {}, weight_ = {};
  float row_[2][kScatterRoom], metric_[kScatterRoom];
  FourRows<float> reached_;
  uint32_t values_[kLanes<C> * kScatterRoom] = {};
};

struct Scratch {
  int* data;
  int64_t words;
};

inline void find_reaches(const BandShape& shape, const Flow& flow, Reach* reaches) {
  parallel(shape.height, 32, [&](int first, int last) {
    float buffer[kScatterChunk];
    for (int y = first; y < last; ++y) {
      Reach* const row = reaches + static_cast<int64_t>(y) * (1 + shape.chunks);
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
}

// Calls call(x, y, n) for the chunks that reach rows first .. last - 1.
template <class F>
void each_chunk(const BandShape& shape, const Reach* reaches, int first, int last, const F& call) {
  for (int y = 0; y < shape.height; ++y) {
    const Reach* const row = reaches + static_cast<int64_t>(y) * (1 + shape.chunks);
    if (!row[0].meets(first, last)) continue;
    for (int c = 0; c < shape.chunks; ++c) {
      const int x = c * kScatterChunk;
      if (row[1 + c].meets(first, last)) call(x, y, std::min(kScatterChunk, shape.width - x));
    }
  }
}

// Scatters, then calls store(y, cells, above) for every row of the result, with its cells and those above it.
template <class C, Splat kMode, class Rule, class Load, class Store>
void scatter(const Flow& flow, const Plane<const float>& metric, float most, const Scratch& scratch, const Load& load,
             const Store& store) {
  using B = Band<C, kMode, Rule>;
  const BandShape shape(flow.u.width, flow.u.height, C::kSums, B::kByMost);
  const int into = static_cast<int>(reinterpret_cast<std::uintptr_t>(scratch.data) / sizeof(int) % kLine);
  int* const memory = scratch.data + (into ? kLine - into : 0);
  Reach* const reaches = reinterpret_cast<Reach*>(memory);
  find_reaches(shape, flow, reaches);
  const int64_t room = (scratch.words - kLine - shape.table_words) / shape.slot_words;
  const int slots = static_cast<int>(std::min<int64_t>(room, shape.bands));
  parallel(slots, 1, [&](int first_slot, int last_slot) {
    for (int slot = first_slot; slot < last_slot; ++slot) {
      B band(shape, memory + shape.table_words + slot * shape.slot_words);
      const auto begin = [&](int s) { return static_cast<int>(static_cast<int64_t>(shape.bands) * s / slots); };
      for (int b = begin(slot); b < begin(slot + 1); ++b) {
        const int first = shape.first_row(b);
        const int last = shape.first_row(b + 1);
        band.clear(first, last);
        if constexpr (B::kByMost) {
          each_chunk(shape, reaches, first, last, [&](int x, int y, int n) { band.raise(flow, metric, x, y, n); });
        }
        each_chunk(shape, reaches, first, last,
                   [&](int x, int y, int n) { band.add(flow, metric, most, load, x, y, n); });
        for (int y = first; y < last; ++y) store(y, band.row(y), band.row(y - 1));
      }
    }
  });
}

}  // namespace reelmend::cpu
