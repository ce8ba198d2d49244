#include "ops/area.h"

#include "cpu/launch.h"
#include "cpu/ops.h"

namespace reelmend::cpu {
namespace {

constexpr int kColumns = 4096;

// Column sums of a few rows: 32 bits hold 65537 rows of 16-bit samples.
template <class T>
RM_CLONES void add_row(const T* __restrict from, int step, unsigned* __restrict sum, int n) {
  if (step == 1) {
    for (int i = 0; i < n; ++i) sum[i] += from[i];
  } else {
    for (int i = 0; i < n; ++i) sum[i] += from[i * step];
  }
}

}  // namespace

template <class T>
void area_mean(const Plane<const T>& in, int columns, int rows, float* out) {
  parallel(rows, 1, [&](int first, int last) {
    unsigned sums[kColumns];
    for (int j = first; j < last; ++j) {
      const int y0 = tile_begin(j, rows, in.height);
      const int y1 = tile_begin(j + 1, rows, in.height);
      int tile = 0;
      unsigned long long sum = 0;
      for (int x = 0; x < in.width; x += kColumns) {
        const int n = std::min(kColumns, in.width - x);
        std::fill(sums, sums + n, 0u);
        for (int y = y0; y < y1; ++y) add_row(in.row(y) + x * in.step, in.step, sums, n);
        for (int i = 0; i < n; ++i) {
          sum += sums[i];
          const int end = tile_begin(tile + 1, columns, in.width);
          if (x + i + 1 == end) {
            out[j * columns + tile] = tile_mean(sum, (end - tile_begin(tile, columns, in.width)) * (y1 - y0));
            sum = 0;
            ++tile;
          }
        }
      }
    }
  });
}

template void area_mean<uint8_t>(const Plane<const uint8_t>&, int, int, float*);
template void area_mean<uint16_t>(const Plane<const uint16_t>&, int, int, float*);

}  // namespace reelmend::cpu
