#include "ops/area.h"

#include "cpu/launch.h"
#include "cpu/ops.h"

namespace reelmend::cpu {
namespace {

constexpr int kPiece = 1 << 15;  // 65535 * kPiece fits in 32 bits

template <class T>
RM_CLONES unsigned sum_row(const T* __restrict from, int step, int n) {
  unsigned sum = 0;
  if (step == 1) {
    for (int i = 0; i < n; ++i) sum += from[i];
  } else {
    for (int i = 0; i < n; ++i) sum += from[i * step];
  }
  return sum;
}

}  // namespace

template <class T>
void area_mean(const Plane<const T>& in, int columns, int rows, float* out) {
  parallel(rows, 1, [&](int first, int last) {
    for (int j = first; j < last; ++j) {
      const int y0 = tile_begin(j, rows, in.height);
      const int y1 = tile_begin(j + 1, rows, in.height);
      for (int i = 0; i < columns; ++i) {
        const int x0 = tile_begin(i, columns, in.width);
        const int x1 = tile_begin(i + 1, columns, in.width);
        unsigned long long sum = 0;
        for (int y = y0; y < y1; ++y) {
          for (int x = x0; x < x1; x += kPiece) {
            sum += sum_row(in.row(y) + x * in.step, in.step, std::min(kPiece, x1 - x));
          }
        }
        out[j * columns + i] = tile_mean(sum, (x1 - x0) * (y1 - y0));
      }
    }
  });
}

template void area_mean<uint8_t>(const Plane<const uint8_t>&, int, int, float*);
template void area_mean<uint16_t>(const Plane<const uint16_t>&, int, int, float*);

}  // namespace reelmend::cpu
