#include "ops/resize.h"

#include "cpu/between.h"
#include "cpu/ops.h"

namespace reelmend::cpu {
namespace {

constexpr int kSpan = 2048;  // input columns summed at once
constexpr int kGrain = 8;

template <class T>
RM_CLONES void add_share(const T* __restrict from, int step, float share, float* __restrict sum, int n) {
  if (step == 1) {
    for (int i = 0; i < n; ++i) sum[i] += share * static_cast<float>(from[i]);
  } else {
    for (int i = 0; i < n; ++i) sum[i] += share * static_cast<float>(from[i * step]);
  }
}

RM_CLONES void multiply_by(float gain, float* __restrict value, int n) {
  for (int i = 0; i < n; ++i) value[i] *= gain;
}

// Sums of whole input columns, `each` to an output column.
RM_CLONES void gather_pairs(const float* __restrict sum, float share, float* __restrict to, int n) {
  for (int i = 0; i < n; ++i) to[i] = (to[i] + share * sum[2 * i]) + share * sum[2 * i + 1];
}

RM_CLONES void gather_whole(const float* __restrict sum, float share, int each, float* __restrict to, int n) {
  for (int j = 0; j < each; ++j) {
    for (int i = 0; i < n; ++i) to[i] += share * sum[i * each + j];
  }
}

// A chunk of columns over some rows.
template <class T>
void bilinear_columns(const Plane<const T>& in, float gain, float max_code, const Plane<T>& out, int x, int n,
                      int first, int last) {
  ColumnTaps taps;
  taps.aim(x, n, in.width, out.width);
  BetweenRows<kChunk> rows;
  rows.begin();
  float value[kChunk];
  for (int y = first; y < last; ++y) {
    rows.row(in, taps, y, out.height, gain, value);
    store_row(value, out.row(y) + x * out.step, out.step, max_code, n);
  }
}

template <class T>
void area_columns(const Plane<const T>& in, float gain, float max_code, const Plane<T>& out, int x, int n, int first,
                  int last) {
  float sum[kSpan], value[kChunk];
  const int end = cover_end(x + n - 1, in.width, out.width);
  const int each = in.width / out.width;
  const bool whole = each * out.width == in.width && each * n <= kSpan;
  const float inner = static_cast<float>(out.width) / static_cast<float>(in.width);  // share of a whole sample
  for (int y = first; y < last; ++y) {
    std::fill(value, value + n, 0.0f);
    int k = 0;  // the first output column that reaches into the span
    for (int from = cover_begin(x, in.width, out.width); from < end; from += kSpan) {
      const int count = std::min(kSpan, end - from);
      std::fill(sum, sum + count, 0.0f);
      for (int j = cover_begin(y, in.height, out.height); j < cover_end(y, in.height, out.height); ++j) {
        add_share(in.row(j) + from * in.step, in.step, cover_share(j, y, in.height, out.height), sum, count);
      }
      if (whole) {
        each == 2 ? gather_pairs(sum, inner, value, n) : gather_whole(sum, inner, each, value, n);
        continue;
      }
      for (int c = k; c < n; ++c) {
        const int begin = cover_begin(x + c, in.width, out.width);
        const int last_one = cover_end(x + c, in.width, out.width) - 1;
        if (begin >= from + count) break;
        float total = value[c];
        if (begin >= from) total += cover_share(begin, x + c, in.width, out.width) * sum[begin - from];
        const int stop = std::min(last_one, from + count);
        for (int i = std::max(begin + 1, from); i < stop; ++i) total += inner * sum[i - from];
        if (last_one > begin && last_one >= from && last_one < from + count) {
          total += cover_share(last_one, x + c, in.width, out.width) * sum[last_one - from];
        }
        value[c] = total;
        k = last_one >= from + count ? c : c + 1;
      }
    }
    multiply_by(gain, value, n);
    store_row(value, out.row(y) + x * out.step, out.step, max_code, n);
  }
}

}  // namespace

template <class T>
void resize(const Plane<const T>& in, Resizing filter, float gain, float max_code, const Plane<T>& out) {
  parallel(out.height, kGrain, [&](int first, int last) {
    for (int x = 0; x < out.width; x += kChunk) {
      const int n = std::min(kChunk, out.width - x);
      if (filter == Resizing::bilinear) {
        bilinear_columns(in, gain, max_code, out, x, n, first, last);
      } else {
        area_columns(in, gain, max_code, out, x, n, first, last);
      }
    }
  });
}

template void resize<uint8_t>(const Plane<const uint8_t>&, Resizing, float, float, const Plane<uint8_t>&);
template void resize<uint16_t>(const Plane<const uint16_t>&, Resizing, float, float, const Plane<uint16_t>&);
template void resize<Half>(const Plane<const Half>&, Resizing, float, float, const Plane<Half>&);
template void resize<float>(const Plane<const float>&, Resizing, float, float, const Plane<float>&);

}  // namespace reelmend::cpu
