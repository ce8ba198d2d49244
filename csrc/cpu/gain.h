// What map_tones adds to the R, G, B of a chunk of pixels: the curves' changes, a field of gains, a mask.
//
// Both classes are used alike: rows() once for the one or two rows of a row of chroma, then changes() for each chunk of
// the i-th of them, from the table positions of its R, G, B. One object belongs to one worker.
#pragma once

#include "cpu/launch.h"
#include "ops/tone.h"

namespace reelmend::cpu {

// Table look-ups. Simple loops: GCC packs scalar loads, which beats the gather instruction on the machine measured.
static void look_up(const float* __restrict table, const uint16_t* __restrict index, float* __restrict out, int n) {
  for (int i = 0; i < n; ++i) out[i] = table[index[i]];
}

// The same of pairs of floats, each moved as one word.
static void look_up_pairs(const float* __restrict table, const uint16_t* __restrict index, float* __restrict out,
                          int n) {
  for (int i = 0; i < n; ++i) std::memcpy(out + 2 * i, table + 2 * index[i], 2 * sizeof(float));
}

static RM_CLONES void interleave(const float* __restrict a, const float* __restrict b, float* __restrict to, int n) {
  for (int i = 0; i < n; ++i) {
    to[2 * i] = a[i];
    to[2 * i + 1] = b[i];
  }
}

// A whole table with one gain.
static RM_CLONES void gain_table(const float* __restrict change, float gain, const float* __restrict response,
                                 float* __restrict to, int n) {
  for (int i = 0; i < n; ++i) to[i] = with_gain(change[i], gain, response[i]);
}

// (change, response) pairs and gains to changes.
static RM_CLONES void gain_row(const float* __restrict pairs, const float* __restrict gain, float* __restrict d,
                               int n) {
  for (int i = 0; i < n; ++i) d[i] = with_gain(pairs[2 * i], gain[i], pairs[2 * i + 1]);
}

static RM_CLONES void mask_row(const uint8_t* __restrict mask, int step, float* __restrict share, int n) {
  if (step == 1) {
    for (int i = 0; i < n; ++i) share[i] = mask_share(mask[i]);
  } else {
    for (int i = 0; i < n; ++i) share[i] = mask_share(mask[i * step]);
  }
}

static RM_CLONES void multiply_row(const float* __restrict share, float* __restrict d, int n) {
  for (int i = 0; i < n; ++i) d[i] *= share[i];
}

static RM_CLONES void lerp_cells(const float* __restrict a, const float* __restrict b, float w, float* __restrict to,
                                 int n) {
  for (int i = 0; i < n; ++i) to[i] = lerp(a[i], b[i], w);
}

static RM_CLONES void position_row(const GridAxis a, int x, float* __restrict position, int n) {
  for (int i = 0; i < n; ++i) position[i] = grid_position(a, x + i);
}

static RM_CLONES void bin_row(const GridAxis a, const float* __restrict luma, float* __restrict position, int n) {
  for (int i = 0; i < n; ++i) position[i] = grid_position(a, luma[i]);
}

// The lowest and the highest bin of some positions.
static RM_CLONES void bin_range(const float* __restrict position, int n, int* __restrict low, int* __restrict high) {
  int least = kMaxGains, most = 0;
  for (int i = 0; i < n; ++i) {
    const int k = static_cast<int>(position[i]);
    least = k < least ? k : least;
    most = k > most ? k : most;
  }
  *low = least;
  *high = most;
}

static RM_CLONES void share_row(const float* __restrict position, int bin, float* __restrict share, int n) {
  for (int i = 0; i < n; ++i) share[i] = bin_share(position[i], bin);
}

// Between two cells, the left of which is at `left`.
static RM_CLONES void between_cells(const float* __restrict position, float left, float a, float b,
                                    float* __restrict gain, int n) {
  for (int i = 0; i < n; ++i) gain[i] = lerp(a, b, position[i] - left);
}

static RM_CLONES void add_between_cells(const float* __restrict position, float left, float a, float b,
                                        const float* __restrict share, float* __restrict gain, int n) {
  for (int i = 0; i < n; ++i) gain[i] += share[i] * lerp(a, b, position[i] - left);
}

// The curves alone.
class Curves {
 public:
  Curves(const ToneMap& map, int) : table_(map.table) {}
  static constexpr bool wants_luma() { return false; }
  void rows(int, int) {}
  void changes(int, int, int n, const float*, const uint16_t* const* index, float* const* d, int channels) {
    for (int c = 0; c < channels; ++c) look_up(table_.change + c * table_.size, index[c], d[c], n);
  }

 private:
  ToneTable table_;
};

// The curves, the field of gains if there is one, and the mask if there is one.
//
// Rows with one gain each get a table of their own. Else the gains of a chunk are made run by run: a run lies between
// the centres of two columns of cells, so there its gains are linear in x and no cell is looked up for a pixel. Bins
// that no pixel of a run touches are left out; they would add nothing.
class Field {
 public:
  Field(const ToneMap& map, int width) : map_(map), field_(map.field) {
    const int size = map.table.size;
    if (!field_.gains) return;
    by_row_ = field_.columns == 1 && field_.bins == 1 && 6 * size <= kTable;
    if (by_row_) return;
    paired_ = 6 * size <= kTable;
    if (paired_) interleave(map.table.change, field_.response, table_, 3 * size);
    int x = 0;
    for (int j = 0; j < field_.columns; ++j) {
      while (x < width && static_cast<int>(grid_position(field_.x, x)) < j) ++x;
      starts_[j] = x;
    }
    starts_[field_.columns] = width;
  }

  bool wants_luma() const { return field_.bins > 1; }

  void rows(int y, int count) {
    y_ = y;
    if (!field_.gains) return;
    const int size = map_.table.size;
    for (int i = 0; i < count; ++i) {
      const float position = grid_position(field_.y, y + i);
      const int near = static_cast<int>(position);
      const int far = std::min(near + 1, field_.rows - 1);
      const float weight = position - static_cast<float>(near);
      for (int c = 0; c < 3; ++c) {
        for (int k = 0; k < field_.bins; ++k) {
          lerp_cells(field_.row(c, k, near), field_.row(c, k, far), weight, cells_[i][c] + k * field_.columns,
                     field_.columns);
        }
        if (!by_row_) continue;
        const int at = c * size;
        gain_table(map_.table.change + at, cells_[i][c][0], field_.response + at, table_ + 3 * i * size + at, size);
      }
    }
  }

  void changes(int i, int x, int n, const float* luma, const uint16_t* const* index, float* const* d, int channels) {
    const int size = map_.table.size;
    if (!field_.gains || by_row_) {
      const float* const table = by_row_ ? table_ + 3 * i * size : map_.table.change;
      for (int c = 0; c < channels; ++c) look_up(table + c * size, index[c], d[c], n);
    } else {
      make_gains(cells_[i], x, n, luma, channels);
      for (int c = 0; c < channels; ++c) {
        if (paired_) {
          look_up_pairs(table_ + 2 * c * size, index[c], pairs_, n);
        } else {
          const float* const change = map_.table.change + c * size;
          const float* const response = field_.response + c * size;
          for (int k = 0; k < n; ++k) {
            pairs_[2 * k] = change[index[c][k]];
            pairs_[2 * k + 1] = response[index[c][k]];
          }
        }
        gain_row(pairs_, gains_[c], d[c], n);
      }
    }
    if (!map_.mask.data) return;
    mask_row(map_.mask.row(y_ + i) + x * map_.mask.step, map_.mask.step, share_, n);
    for (int c = 0; c < channels; ++c) multiply_row(share_, d[c], n);
  }

 private:
  static constexpr int kTable = 6 * 2048;

  using Cells = float[3][kMaxGains];

  void make_gains(const Cells& cells, int x, int n, const float* luma, int channels) {
    position_row(field_.x, x, position_, n);
    if (field_.bins > 1) bin_row(field_.luma, luma, bins_, n);
    const int* const first = std::upper_bound(starts_, starts_ + field_.columns, x) - 1;
    int at = 0;
    for (int j = static_cast<int>(first - starts_); at < n; ++j) {
      const int end = std::min(starts_[j + 1] - x, n);
      if (end > at) make_run(cells, j, at, end - at, channels);
      at = std::max(at, end);
    }
  }

  void make_run(const Cells& cells, int j, int at, int n, int channels) {
    const int next = std::min(j + 1, field_.columns - 1);
    const float left = static_cast<float>(j);
    if (field_.bins == 1) {
      for (int c = 0; c < channels; ++c) {
        between_cells(position_ + at, left, cells[c][j], cells[c][next], gains_[c] + at, n);
      }
      return;
    }
    int low, high;
    bin_range(bins_ + at, n, &low, &high);
    for (int c = 0; c < channels; ++c) std::fill(gains_[c] + at, gains_[c] + at + n, 0.0f);
    for (int k = low; k <= std::min(high + 1, field_.bins - 1); ++k) {
      share_row(bins_ + at, k, share_, n);
      for (int c = 0; c < channels; ++c) {
        const float* const of_bin = cells[c] + k * field_.columns;
        add_between_cells(position_ + at, left, of_bin[j], of_bin[next], share_, gains_[c] + at, n);
      }
    }
  }

  const ToneMap& map_;
  const GainField& field_;
  bool by_row_ = false, paired_ = false;
  int y_ = 0;
  int starts_[kMaxGains + 1];  // where the runs begin: the first sample whose nearest cells are j and j + 1
  float table_[kTable];        // of each row; or pairs of change and response
  Cells cells_[2];             // gains of each row, at the centres
  float position_[kChunk], bins_[kChunk], share_[kChunk], gains_[3][kChunk], pairs_[2 * kChunk];
};

}  // namespace reelmend::cpu
