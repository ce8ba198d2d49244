#include "ops/sharpen.h"

#include <type_traits>

#include "cpu/between.h"
#include "cpu/launch.h"
#include "cpu/ops.h"
#include "cpu/sample.h"

namespace reelmend::cpu {
namespace {

constexpr int kGrain = 32;
constexpr int kRows = 2 * kSharpenReach + 1;

RM_CLONES void outer_row(const float* __restrict a, const float* __restrict b, const float* __restrict d,
                         const float* __restrict e, float* __restrict to, int n) {
  for (int i = 0; i < n; ++i) to[i] = outer_sum(a[i], b[i], d[i], e[i]);
}

// Of `here` and `outer`, the samples to both sides are read as well.
RM_CLONES void sharpen_row(const float* __restrict above, const float* __restrict here, const float* __restrict below,
                           const float* __restrict outer, const float* __restrict across, const float* __restrict down,
                           const float* __restrict around, float* __restrict to, int n) {
  for (int i = 0; i < n; ++i) {
    const float x = here[i];
    const float corners = outer_sum(outer[i - 2], outer[i - 1], outer[i + 1], outer[i + 2]);
    const float cross = outer_sum(here[i - 2], here[i - 1], here[i + 1], here[i + 2]) + outer[i];
    to[i] = sharpened(x, beside_detail(x, here[i - 1], here[i + 1]), beside_detail(x, above[i], below[i]),
                      around_detail(x, corners, cross), {across[i], down[i], around[i]});
  }
}

// The gains over a chunk of columns, in the size of the planes; rows asked for from top to bottom.
class GainRows {
 public:
  void begin(const Stack<const float>& gains, int x, int n, int width, int height) {
    gains_ = gains;
    x_ = x;
    height_ = height;
    whole_ = is_whole(gains, width, height);
    if (!whole_) taps_.aim(x, n, gains.first.width, width);
    for (auto& rows : rows_) rows.begin();
  }

  const float* row(int k, int y, int n) {
    const Plane<const float> p = gains_.plane(k);
    if (whole_) return flat_row(p, x_, y, row_[k], n);
    rows_[k].row(p, taps_, y, height_, 1.0f, row_[k]);
    return row_[k];
  }

 private:
  Stack<const float> gains_{};
  ColumnTaps taps_;
  BetweenRows<kRoom> rows_[3];
  int x_ = 0, height_ = 0;
  bool whole_ = false;
  float row_[3][kRoom];
};

// Chunks are too short for the processor to see a stream in them, so the next row is asked for.
template <class T>
void ask_row(const Plane<T>& p, int x, int y, int n) {
  if (p.step != 1 || y >= p.height) return;
  constexpr int kLine = static_cast<int>(64 / sizeof(T));
  const T* const row = p.row(y) + x;
  for (int i = 0; i < n; i += kLine) __builtin_prefetch(row + i, !std::is_const_v<T>);
}

// The rows of one plane around a row, over a chunk of columns and those beside it; rows asked for from top to bottom.
class RowsAround {
 public:
  void begin(int x, int n) {
    x_ = x;
    n_ = n;
    for (int& row : row_of_) row = -1;
  }

  // Row `y` from column x - kSharpenReach on, beyond the border the samples at the edge.
  template <class T>
  const float* row(const Plane<const T>& in, int y) {
    const int row = clamp_index(y, in.height), place = row % kRows;
    const int first = std::max(x_ - kSharpenReach, 0), end = std::min(x_ + n_ + kSharpenReach, in.width);
    const int left = first - (x_ - kSharpenReach), all = n_ + 2 * kSharpenReach, last = left + end - first - 1;
    if constexpr (std::is_same_v<T, float>) {
      if (in.step == 1 && end - first == all) return in.row(row) + first;
    }
    float* const to = kept_[place];
    if (row_of_[place] == row) return to;
    row_of_[place] = row;
    load_row(in.row(row) + first * in.step, in.step, to + left, end - first);
    std::fill(to, to + left, to[left]);
    std::fill(to + last + 1, to + all, to[last]);
    return to;
  }

 private:
  int x_ = 0, n_ = 0;
  int row_of_[kRows];
  float kept_[kRows][kRoom];
};

}  // namespace

template <class T>
void sharpen(const Plane<const T>* in, int count, const Stack<const float>& gains, float max_code,
             const Plane<T>* out) {
  const int width = out[0].width, height = out[0].height;
  parallel(height, kGrain, [&](int first, int last) {
    GainRows gain;
    RowsAround rows[kMaxPlanes];
    float outer[kRoom], value[kRoom];
    for (int x = 0; x < width; x += kPixels) {
      const int n = std::min(kPixels, width - x);
      gain.begin(gains, x, n, width, height);
      for (int c = 0; c < count; ++c) rows[c].begin(x, n);
      for (int y = first; y < last; ++y) {
        const float* g[3];
        for (int k = 0; k < 3; ++k) g[k] = gain.row(k, y, n);
        for (int c = 0; c < count; ++c) {
          ask_row(in[c], x, y + kSharpenReach + 1, n);
          ask_row(out[c], x, y + 1, n);
          const float* r[kRows];
          for (int j = 0; j < kRows; ++j) r[j] = rows[c].row(in[c], y + j - kSharpenReach);
          outer_row(r[0], r[1], r[3], r[4], outer, n + 2 * kSharpenReach);
          T* const to = out[c].row(y) + x * out[c].step;
          float* direct = value;
          if constexpr (std::is_same_v<T, float>) direct = out[c].step == 1 ? to : value;
          sharpen_row(r[1] + kSharpenReach, r[2] + kSharpenReach, r[3] + kSharpenReach, outer + kSharpenReach, g[0],
                      g[1], g[2], direct, n);
          if (direct == value) store_row(value, to, out[c].step, max_code, n);
        }
      }
    }
  });
}

#define RM_SHARPEN(T) \
  template void sharpen<T>(const Plane<const T>*, int, const Stack<const float>&, float, const Plane<T>*);
RM_SHARPEN(uint8_t)
RM_SHARPEN(uint16_t)
RM_SHARPEN(Half)
RM_SHARPEN(float)

}  // namespace reelmend::cpu
