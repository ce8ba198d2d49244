#include "ops/median.h"

#include "cpu/launch.h"
#include "cpu/ops.h"
#include "cpu/sample.h"

namespace reelmend::cpu {
namespace {

constexpr int kGrain = 4;
constexpr int kPad = 2;
constexpr int kWide = kPixels + 2 * kPad + 44;  // as kRoom

template <int kSize>
RM_CLONES void sort_columns(const float* const* rows, float (*__restrict to)[kWide], int n) {
  const float* const r0 = rows[0];
  const float* const r1 = rows[1];
  const float* const r2 = rows[2];
  const float* const r3 = rows[kSize == 5 ? 3 : 0];
  const float* const r4 = rows[kSize == 5 ? 4 : 0];
  for (int i = 0; i < n; ++i) {
    float v[5] = {finite_or_zero(r0[i]), finite_or_zero(r1[i]), finite_or_zero(r2[i]), finite_or_zero(r3[i]),
                  finite_or_zero(r4[i])};
    sort_column<kSize>(v);
    for (int j = 0; j < kSize; ++j) to[j][i] = v[j];
  }
}

// columns[j][i] is the j-th smallest of the column at i - kSize / 2.
template <int kSize>
RM_CLONES void medians(const float (*__restrict columns)[kWide], float* __restrict to, int n) {
  for (int i = 0; i < n; ++i) {
    float v[kSize * kSize];
    for (int j = 0; j < kSize; ++j) {
      for (int k = 0; k < kSize; ++k) v[j * kSize + k] = columns[j][i + k];
    }
    to[i] = select_median<kSize>(v);
  }
}

template <int kSize>
void median_plane(const Plane<const float>& in, const Plane<float>& out, int first, int last) {
  constexpr int kReach = kSize / 2;
  float row[kSize][kWide], columns[kSize][kWide], value[kWide];
  for (int y = first; y < last; ++y) {
    for (int x = 0; x < out.width; x += kPixels) {
      const int n = std::min(kPixels, out.width - x);
      const int begin = std::max(x - kReach, 0);
      const int end = std::min(x + n + kReach, in.width);
      const float* rows[5];
      for (int j = 0; j < kSize; ++j) {
        rows[j] = flat_row(in, begin, clamp_index(y + j - kReach, in.height), row[j], end - begin);
      }
      float (*const to)[kWide] = reinterpret_cast<float (*)[kWide]>(&columns[0][begin - (x - kReach)]);
      sort_columns<kSize>(rows, to, end - begin);
      for (int j = 0; j < kSize; ++j) {
        for (int i = x - kReach; i < 0; ++i) columns[j][i - (x - kReach)] = columns[j][kReach - x];
        for (int i = end; i < x + n + kReach; ++i) columns[j][i - (x - kReach)] = columns[j][end - 1 - (x - kReach)];
      }
      float* const target = out.step == 1 ? out.row(y) + x : value;
      medians<kSize>(columns, target, n);
      if (out.step != 1) store_row(value, out.row(y) + x * out.step, out.step, 0.0f, n);
    }
  }
}

}  // namespace

void median_flow(const FlowField<const float>& in, int size, const FlowField<float>& out) {
  parallel(out.u.height, kGrain, [&](int first, int last) {
    const auto run = size == 3 ? median_plane<3> : median_plane<5>;
    run(in.u, out.u, first, last);
    run(in.v, out.v, first, last);
  });
}

}  // namespace reelmend::cpu
