#include "cpu/launch.h"
#include "cpu/ops.h"

namespace reelmend::cpu {

template <class In, class Out>
void apply_lut(const Plane<const In>& in, const float* lut, int lut_size, float max_code, bool dither,
               const Plane<Out>& out) {
  const int last = lut_size - 1;
  parallel(in.height, 16, [&](int first, int end) {
    float value[kChunk];
    for (int y = first; y < end; ++y) {
      const float* const t = threshold_row(y, dither);
      for (int x = 0; x < in.width; x += kChunk) {
        const int n = std::min(kChunk, in.width - x);
        const In* from = in.row(y) + x * in.step;
        for (int i = 0; i < n; ++i) value[i] = lut[std::min<int>(from[i * in.step], last)];
        store_row(value, t, out.row(y) + x * out.step, out.step, max_code, n);
      }
    }
  });
}

#define RM_LUT(In, Out) \
  template void apply_lut<In, Out>(const Plane<const In>&, const float*, int, float, bool, const Plane<Out>&);
RM_LUT(uint8_t, uint8_t)
RM_LUT(uint8_t, uint16_t)
RM_LUT(uint16_t, uint8_t)
RM_LUT(uint16_t, uint16_t)

}  // namespace reelmend::cpu
