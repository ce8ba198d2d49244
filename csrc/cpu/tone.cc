#include "ops/tone.h"

#include "cpu/launch.h"
#include "cpu/ops.h"

namespace reelmend::cpu {
namespace {

RM_CLONES void index_row(const YuvCoding c, const float* __restrict y, const float* __restrict u,
                         const float* __restrict v, uint16_t* __restrict r, uint16_t* __restrict g,
                         uint16_t* __restrict b, int n) {
  for (int i = 0; i < n; ++i) {
    const Rgb p = reelmend::yuv_to_rgb(c, y[i], u[i], v[i]);
    r[i] = static_cast<uint16_t>(tone_index(p.r, c.peak));
    g[i] = static_cast<uint16_t>(tone_index(p.g, c.peak));
    b[i] = static_cast<uint16_t>(tone_index(p.b, c.peak));
  }
}

// Four at a time: independent loads in flight beat the gather instruction on the machine measured.
void look_up(const float* __restrict table, const uint16_t* __restrict index, float* __restrict out, int n) {
  int i = 0;
  for (; i + 4 <= n; i += 4) {
    const float a = table[index[i]], b = table[index[i + 1]], c = table[index[i + 2]], d = table[index[i + 3]];
    out[i] = a;
    out[i + 1] = b;
    out[i + 2] = c;
    out[i + 3] = d;
  }
  for (; i < n; ++i) out[i] = table[index[i]];
}

RM_CLONES void change_row(const YuvCoding c, const float* __restrict dr, const float* __restrict dg,
                          const float* __restrict db, float* __restrict y, float* __restrict u, float* __restrict v,
                          int n) {
  for (int i = 0; i < n; ++i) {
    const ToneChange d = tone_change(c, dr[i], dg[i], db[i]);
    y[i] += d.y;
    u[i] += d.u;
    v[i] += d.v;
  }
}

// Sums of pairs times `part`, added to the chroma samples.
RM_CLONES void add_pairs(const float* __restrict sum, float part, float* __restrict c, int n) {
  for (int i = 0; i < n; ++i) c[i] += (sum[2 * i] + sum[2 * i + 1]) * part;
}

RM_CLONES void add_single(const float* __restrict sum, float part, float* __restrict c, int n) {
  for (int i = 0; i < n; ++i) c[i] += sum[i] * part;
}

// Adds the mean changes of `rows` luma rows to n chroma samples; the last may have a single column at an odd edge.
void add_changes(const Siting& s, const float* sum, int luma, int rows, float* c, int n) {
  const float part = 1.0f / static_cast<float>(rows << s.sub_x);
  if (s.sub_x == 0) return add_single(sum, part, c, n);
  const int whole = luma >> 1;
  add_pairs(sum, part, c, whole);
  if (whole < n) add_single(sum + 2 * whole, 2.0f * part, c + whole, 1);
}

// R, G, B codes to table positions.
RM_CLONES void index_codes(const float* __restrict code, float scale, float last, uint16_t* __restrict index, int n) {
  for (int i = 0; i < n; ++i) index[i] = static_cast<uint16_t>(tone_index(code[i] * scale, last));
}

// Adds changes in units of white.
RM_CLONES void add_codes(const float* __restrict d, float max_code, float* __restrict code, int n) {
  for (int i = 0; i < n; ++i) code[i] += d[i] * max_code;
}

// Luma in units of the table.
RM_CLONES void yuv_luma_row(const YuvCoding c, const float* __restrict y, float* __restrict luma, int n) {
  for (int i = 0; i < n; ++i) luma[i] = yuv_luma(c, y[i]);
}

RM_CLONES void rgb_luma_row(const YuvCoding c, float scale, const float* __restrict r, const float* __restrict g,
                            const float* __restrict b, float* __restrict luma, int n) {
  for (int i = 0; i < n; ++i) luma[i] = rgb_luma(c, {r[i] * scale, g[i] * scale, b[i] * scale});
}

RM_CLONES void scale_row(const float* __restrict code, float scale, float* __restrict luma, int n) {
  for (int i = 0; i < n; ++i) luma[i] = code[i] * scale;
}

// As look_up, of pairs of floats.
void look_up_pairs(const float* __restrict table, const uint16_t* __restrict index, float* __restrict out, int n) {
  struct Pair {
    float a, b;
  };
  const auto* const from = reinterpret_cast<const Pair*>(table);
  auto* const to = reinterpret_cast<Pair*>(out);
  int i = 0;
  for (; i + 4 <= n; i += 4) {
    const Pair a = from[index[i]], b = from[index[i + 1]], c = from[index[i + 2]], d = from[index[i + 3]];
    to[i] = a;
    to[i + 1] = b;
    to[i + 2] = c;
    to[i + 3] = d;
  }
  for (; i < n; ++i) to[i] = from[index[i]];
}

RM_CLONES void interleave(const float* __restrict a, const float* __restrict b, float* __restrict to, int n) {
  for (int i = 0; i < n; ++i) {
    to[2 * i] = a[i];
    to[2 * i + 1] = b[i];
  }
}

// A whole table with one gain.
RM_CLONES void gain_table(const float* __restrict change, float gain, const float* __restrict response,
                          float* __restrict to, int n) {
  for (int i = 0; i < n; ++i) to[i] = with_gain(change[i], gain, response[i]);
}

// (change, response) pairs and gains to changes.
RM_CLONES void gain_row(const float* __restrict pairs, const float* __restrict gain, float* __restrict d, int n) {
  for (int i = 0; i < n; ++i) d[i] = with_gain(pairs[2 * i], gain[i], pairs[2 * i + 1]);
}

RM_CLONES void mask_row(const uint8_t* __restrict mask, int step, float* __restrict share, int n) {
  if (step == 1) {
    for (int i = 0; i < n; ++i) share[i] = mask_share(mask[i]);
  } else {
    for (int i = 0; i < n; ++i) share[i] = mask_share(mask[i * step]);
  }
}

RM_CLONES void multiply_row(const float* __restrict share, float* __restrict d, int n) {
  for (int i = 0; i < n; ++i) d[i] *= share[i];
}

RM_CLONES void lerp_cells(const float* __restrict a, const float* __restrict b, float w, float* __restrict to, int n) {
  for (int i = 0; i < n; ++i) to[i] = lerp(a[i], b[i], w);
}

RM_CLONES void position_row(const GridAxis a, int x, float* __restrict position, int n) {
  for (int i = 0; i < n; ++i) position[i] = grid_position(a, x + i);
}

RM_CLONES void bin_row(const GridAxis a, const float* __restrict luma, float* __restrict position, int n) {
  for (int i = 0; i < n; ++i) position[i] = grid_position(a, luma[i]);
}

// The lowest and the highest bin of some positions.
RM_CLONES void bin_range(const float* __restrict position, int n, int* __restrict low, int* __restrict high) {
  int least = kMaxGains, most = 0;
  for (int i = 0; i < n; ++i) {
    const int k = static_cast<int>(position[i]);
    least = k < least ? k : least;
    most = k > most ? k : most;
  }
  *low = least;
  *high = most;
}

RM_CLONES void share_row(const float* __restrict position, int bin, float* __restrict share, int n) {
  for (int i = 0; i < n; ++i) share[i] = bin_share(position[i], bin);
}

// Between two cells, the left of which is at `left`.
RM_CLONES void between_cells(const float* __restrict position, float left, float a, float b, float* __restrict gain,
                             int n) {
  for (int i = 0; i < n; ++i) gain[i] = lerp(a, b, position[i] - left);
}

RM_CLONES void add_between_cells(const float* __restrict position, float left, float a, float b,
                                 const float* __restrict share, float* __restrict gain, int n) {
  for (int i = 0; i < n; ++i) gain[i] += share[i] * lerp(a, b, position[i] - left);
}

// The two below say what is added to the R, G, B of a chunk: rows() once for the one or two rows of a row of chroma,
// then changes() for each chunk of the i-th of them, from the table positions of its R, G, B.

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

template <class Changes, class T>
void map_yuv(const Yuv<const T>& in, const YuvCoding& coding, const Siting& siting, const ToneMap& map, bool dither,
             const Yuv<T>& out) {
  const int width = in.y.width;
  const int height = in.y.height;
  parallel(in.u.height, 8, [&](int first, int last) {
    float y[kChunk], u[kChunk + 1], v[kChunk + 1], du[kChunk], dv[kChunk], c[kChunk], luma[kChunk];
    float dr[kChunk], dg[kChunk], db[kChunk];
    uint16_t r[kChunk], g[kChunk], b[kChunk];
    const uint16_t* const index[3] = {r, g, b};
    float* const d[3] = {dr, dg, db};
    Changes changes(map, width);
    for (int crow = first; crow < last; ++crow) {
      const float* const ct = threshold_row(crow, dither);
      const int rows = covered(crow, siting.sub_y, height);
      changes.rows(crow << siting.sub_y, rows);
      for (int x = 0; x < width; x += kChunk) {
        const int n = std::min(kChunk, width - x);
        std::fill(du, du + n, 0.0f);
        std::fill(dv, dv + n, 0.0f);
        for (int j = 0; j < rows; ++j) {
          const int row = (crow << siting.sub_y) + j;
          const float* const t = threshold_row(row, dither);
          load_row(in.y.row(row) + x * in.y.step, in.y.step, y, n);
          chroma_row(in.u, siting, x, row, n, u);
          chroma_row(in.v, siting, x, row, n, v);
          index_row(coding, y, u, v, r, g, b, n);
          if (changes.wants_luma()) yuv_luma_row(coding, y, luma, n);
          changes.changes(j, x, n, luma, index, d, 3);
          change_row(coding, dr, dg, db, y, du, dv, n);
          store_row(y, t, out.y.row(row) + x * out.y.step, out.y.step, coding.max_code, n);
        }
        const int cx = x >> siting.sub_x;
        const int cn = (n + siting.sub_x) >> siting.sub_x;
        load_row(in.u.row(crow) + cx * in.u.step, in.u.step, c, cn);
        add_changes(siting, du, n, rows, c, cn);
        store_row(c, ct, out.u.row(crow) + cx * out.u.step, out.u.step, coding.max_code, cn);
        load_row(in.v.row(crow) + cx * in.v.step, in.v.step, c, cn);
        add_changes(siting, dv, n, rows, c, cn);
        store_row(c, ct, out.v.row(crow) + cx * out.v.step, out.v.step, coding.max_code, cn);
      }
    }
  });
}

// One or three planes of one size, whose samples are R, G, B (or gray) themselves.
template <class Changes, class T>
void map_planes(const Plane<const T>* in, int channels, const YuvCoding& coding, const ToneMap& map, bool dither,
                const Plane<T>* out) {
  const int width = in[0].width;
  const float scale = coding.peak / coding.max_code;
  parallel(in[0].height, 16, [&](int first, int last) {
    float code[3][kChunk], change[3][kChunk], luma[kChunk];
    uint16_t position[3][kChunk];
    const uint16_t* const index[3] = {position[0], position[1], position[2]};
    float* const d[3] = {change[0], change[1], change[2]};
    Changes changes(map, width);
    for (int y = first; y < last; ++y) {
      const float* const t = threshold_row(y, dither);
      changes.rows(y, 1);
      for (int x = 0; x < width; x += kChunk) {
        const int n = std::min(kChunk, width - x);
        for (int c = 0; c < channels; ++c) {
          load_row(in[c].row(y) + x * in[c].step, in[c].step, code[c], n);
          index_codes(code[c], scale, coding.peak, position[c], n);
        }
        if (changes.wants_luma()) {
          if (channels == 3) {
            rgb_luma_row(coding, scale, code[0], code[1], code[2], luma, n);
          } else {
            scale_row(code[0], scale, luma, n);
          }
        }
        changes.changes(0, x, n, luma, index, d, channels);
        for (int c = 0; c < channels; ++c) {
          add_codes(change[c], coding.max_code, code[c], n);
          store_row(code[c], t, out[c].row(y) + x * out[c].step, out[c].step, coding.max_code, n);
        }
      }
    }
  });
}

}  // namespace

template <class T>
void map_tones(const Yuv<const T>& in, const YuvCoding& coding, const Siting& siting, const ToneMap& map, bool dither,
               const Yuv<T>& out) {
  if (map.plain()) return map_yuv<Curves>(in, coding, siting, map, dither, out);
  map_yuv<Field>(in, coding, siting, map, dither, out);
}

template <class T>
void map_tones_rgb(const RgbPlanes<const T>& in, const YuvCoding& coding, const ToneMap& map, bool dither,
                   const RgbPlanes<T>& out) {
  const Plane<const T> from[3] = {in.r, in.g, in.b};
  const Plane<T> to[3] = {out.r, out.g, out.b};
  if (map.plain()) return map_planes<Curves>(from, 3, coding, map, dither, to);
  map_planes<Field>(from, 3, coding, map, dither, to);
}

template <class T>
void map_tones_gray(const Plane<const T>& in, const YuvCoding& coding, const ToneMap& map, bool dither,
                    const Plane<T>& out) {
  if (map.plain()) return map_planes<Curves>(&in, 1, coding, map, dither, &out);
  map_planes<Field>(&in, 1, coding, map, dither, &out);
}

#define RM_TONE(T)                                                                                       \
  template void map_tones<T>(const Yuv<const T>&, const YuvCoding&, const Siting&, const ToneMap&, bool, \
                             const Yuv<T>&);                                                             \
  template void map_tones_rgb<T>(const RgbPlanes<const T>&, const YuvCoding&, const ToneMap&, bool,      \
                                 const RgbPlanes<T>&);                                                   \
  template void map_tones_gray<T>(const Plane<const T>&, const YuvCoding&, const ToneMap&, bool, const Plane<T>&);
RM_TONE(uint8_t)
RM_TONE(uint16_t)

}  // namespace reelmend::cpu
