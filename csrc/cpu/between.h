// Rows of a plane in another size, bilinear, for a chunk of columns: the last two input rows that were resampled are
// kept, for those of the next output row are often the same.
#pragma once

#include "cpu/launch.h"
#include "ops/resize.h"

namespace reelmend::cpu {

template <class T>
static void look_up_taps(const T* __restrict row, const int* __restrict at, int step, float* __restrict to, int n) {
  for (int i = 0; i < n; ++i) to[i] = static_cast<float>(row[at[i] * step]);
}

static RM_CLONES void between_row(const float* __restrict a, const float* __restrict b, const float* __restrict weight,
                                  float* __restrict to, int n) {
  for (int i = 0; i < n; ++i) to[i] = between(a[i], b[i], weight[i]);
}

static RM_CLONES void between_rows(const float* __restrict a, const float* __restrict b, float weight, float gain,
                                   float* __restrict to, int n) {
  for (int i = 0; i < n; ++i) to[i] = between(a[i], b[i], weight) * gain;
}

// Twice as many columns, from an even one on: halves of pixels lie a quarter from one centre and three from the next.
// The same arithmetic as resize_tap's weights, in one loop over neighbours.
template <class T>
static RM_CLONES void double_row(const T* __restrict row, float* __restrict to, int n) {
  for (int i = 0; i < n; ++i) {
    const float here = static_cast<float>(row[i]);
    to[2 * i] = between(static_cast<float>(row[i - 1]), here, 0.75f);
    to[2 * i + 1] = between(here, static_cast<float>(row[i + 1]), 0.25f);
  }
}

// Half as many columns: each lies in the middle between two.
template <class T>
static RM_CLONES void halve_row(const T* __restrict row, float* __restrict to, int n) {
  for (int i = 0; i < n; ++i) {
    to[i] = between(static_cast<float>(row[2 * i]), static_cast<float>(row[2 * i + 1]), 0.5f);
  }
}

// Where `n` output columns from x lie in an axis of another size.
struct ColumnTaps {
  int near[kChunk], far[kChunk];
  float weight[kChunk];
  int n = 0;
  int first = -1;  // of the input columns, where each gives two, and these are inside the axis and not at its ends
  int half = -1;   // the first input column, where two give one

  // `apart`: from one of them to the next.
  void aim(int x, int count, int in, int out, int apart = 1) {
    n = count;
    first = apart == 1 && out == 2 * in && x % 2 == 0 && n % 2 == 0 && x > 0 && x + n < out ? x / 2 : -1;
    half = apart == 1 && in == 2 * out ? 2 * x : -1;
    for (int i = 0; i < n; ++i) {
      const ResizeTap t = resize_tap(x + i * apart, in, out);
      near[i] = t.near;
      far[i] = t.far;
      weight[i] = t.weight;
    }
  }
};

// One plane over one chunk of columns, rows asked for from top to bottom.
template <int kRoom>
class BetweenRows {
 public:
  void begin() { row_of_[0] = row_of_[1] = -1; }

  template <class T>
  void row(const Plane<const T>& in, const ColumnTaps& taps, int y, int height, float gain, float* to) {
    const ResizeTap t = resize_tap(y, in.height, height);
    const float* const top = resampled(in, taps, t.near);
    const float* const bottom = resampled(in, taps, t.far);
    between_rows(top, bottom, t.weight, gain, to, taps.n);
  }

 private:
  template <class T>
  const float* resampled(const Plane<const T>& in, const ColumnTaps& taps, int row) {
    const int place = row & 1;  // rows that follow each other have places of their own
    if (row_of_[place] != row) {
      row_of_[place] = row;
      const T* const from = in.row(row);
      if (in.step == 1 && taps.first > 0) {
        double_row(from + taps.first, kept_[place], taps.n / 2);
      } else if (in.step == 1 && taps.half >= 0) {
        halve_row(from + taps.half, kept_[place], taps.n);
      } else {
        float a[kRoom], b[kRoom];
        look_up_taps(from, taps.near, in.step, a, taps.n);
        look_up_taps(from, taps.far, in.step, b, taps.n);
        between_row(a, b, taps.weight, kept_[place], taps.n);
      }
    }
    return kept_[place];
  }

  int row_of_[2];
  float kept_[2][kRoom];
};

}  // namespace reelmend::cpu
