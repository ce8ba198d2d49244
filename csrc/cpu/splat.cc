#include "ops/splat.h"

#include "cpu/ops.h"
#include "cpu/scatter.h"

namespace reelmend::cpu {
namespace {

// Samples as add_cells reads them: `lanes` numbers a pixel.
template <int kLane, class T>
RM_CLONES void value_row(const T* __restrict from, int step, uint32_t* __restrict to, int n) {
  if (step == 1) {
    for (int i = 0; i < n; ++i) to[i * kLane] = fixed_of<T>(from[i]);
  } else {
    for (int i = 0; i < n; ++i) to[i * kLane] = fixed_of<T>(from[i * step]);
  }
}

// One plane and the 1 beside it, so that whole vectors are stored.
template <class T>
RM_CLONES void value_and_one_row(const T* __restrict from, int step, uint32_t* __restrict to, int n) {
  if (step == 1) {
    for (int i = 0; i < n; ++i) {
      to[2 * i] = fixed_of<T>(from[i]);
      to[2 * i + 1] = 1;
    }
  } else {
    for (int i = 0; i < n; ++i) {
      to[2 * i] = fixed_of<T>(from[i * step]);
      to[2 * i + 1] = 1;
    }
  }
}

}  // namespace

template <class T>
int64_t splat_words(int width, int height, int count, Splat mode, int workers) {
  return with_splat<T>(mode, count, [&](auto cell, auto) {
    return scatter_words(BandShape(width, height, decltype(cell)::kSums, mode != Splat::average), workers);
  });
}

template <class T>
void splat(const Plane<const T>* in, int count, const Flow& flow, Splat mode, const Plane<const float>& metric,
           float max_code, const Plane<T>* out, const Plane<float>& coverage, int* scratch, int64_t words) {
  with_splat<T>(mode, count, [&](auto cell, auto m) {
    using C = decltype(cell);
    const auto load = [&](int x, int y, int n, uint32_t* values) {
      if constexpr (C::kPlanes == 1) {
        value_and_one_row(in[0].row(y) + x * in[0].step, in[0].step, values, n);
      } else {
        for (int c = 0; c < C::kPlanes; ++c) {
          value_row<kLanes<C>>(in[c].row(y) + x * in[c].step, in[c].step, values + c, n);
        }
        for (int i = 0; i < n; ++i) values[i * kLanes<C> + C::kPlanes] = 1;
      }
    };
    const auto store = [&](int y, const uint64_t* cells, const uint64_t*) {
      float value[kChunk];
      for (int x = 0; x < coverage.width; x += kChunk) {
        const int n = std::min(kChunk, coverage.width - x);
        const uint64_t* const from = cells + x * C::kSums;
        for (int c = 0; c < C::kPlanes; ++c) {
          if constexpr (std::is_same_v<T, float>) {
            write_floats(out[c], x, y, value, n, [&](float* to) { mean_row<C, T>(from, c, to, n); });
          } else {
            mean_row<C, T>(from, c, value, n);
            store_row(value, out[c].row(y) + x * out[c].step, out[c].step, max_code, n);
          }
        }
        write_floats(coverage, x, y, value, n, [&](float* to) { coverage_row<C>(from, to, n); });
      }
    };
    scatter<C, decltype(m)::kValue, Tent>(flow, metric, 0.0f, {scratch, words}, load, store);
  });
}

#define RM_SPLAT(T)                                                                                        \
  template int64_t splat_words<T>(int, int, int, Splat, int);                                              \
  template void splat<T>(const Plane<const T>*, int, const Flow&, Splat, const Plane<const float>&, float, \
                         const Plane<T>*, const Plane<float>&, int*, int64_t);
RM_SPLAT(uint8_t)
RM_SPLAT(uint16_t)
RM_SPLAT(float)

}  // namespace reelmend::cpu
