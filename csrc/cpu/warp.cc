#include "ops/warp.h"

#include "cpu/launch.h"
#include "cpu/ops.h"
#include "cpu/sample.h"

namespace reelmend::cpu {
namespace {

RM_CLONES void blend_row(float weight, const float* __restrict a, const float* __restrict b, float* __restrict to,
                         int n) {
  for (int i = 0; i < n; ++i) to[i] = blend(weight, a[i], b[i]);
}

RM_CLONES void blend_row(const float* __restrict weight, const float* __restrict a, const float* __restrict b,
                         float* __restrict to, int n) {
  for (int i = 0; i < n; ++i) to[i] = blend(weight[i], a[i], b[i]);
}

constexpr int kGrain = 8;

}  // namespace

template <class T>
void warp(const Plane<const T>* in, int count, const Flow& flow, Sampler sampler, float max_code, const Plane<T>* out) {
  with_sampler(sampler, [&](auto s) {
    parallel(out[0].height, kGrain, [&](int first, int last) {
      Chunk<decltype(s)> chunk(in[0].width, in[0].height);
      float value[kRoom];
      for (int y = first; y < last; ++y) {
        for (int x = 0; x < out[0].width; x += kPixels) {
          const int n = std::min(kPixels, out[0].width - x);
          chunk.aim(flow, x, y, n);
          for (int c = 0; c < count; ++c) {
            chunk.sample(in[c], value, n);
            store_row(value, out[c].row(y) + x * out[c].step, out[c].step, max_code, n);
          }
        }
      }
    });
  });
}

template <class T>
void warp_blend(const Plane<const T>* a, const Plane<const T>* b, int count, const Flow& flow_a, const Flow& flow_b,
                const Weight& weight, Sampler sampler, float max_code, const Plane<T>* out) {
  with_sampler(sampler, [&](auto s) {
    parallel(out[0].height, kGrain, [&](int first, int last) {
      Chunk<decltype(s)> chunk(a[0].width, a[0].height);
      float one[kMaxPlanes][kRoom], two[kRoom], value[kRoom], buffer[kRoom];
      for (int y = first; y < last; ++y) {
        for (int x = 0; x < out[0].width; x += kPixels) {
          const int n = std::min(kPixels, out[0].width - x);
          chunk.aim(flow_a, x, y, n);
          for (int c = 0; c < count; ++c) chunk.sample(a[c], one[c], n);
          chunk.aim(flow_b, x, y, n);
          const float* const w = weight.map.data ? flat_row(weight.map, x, y, buffer, n) : nullptr;
          for (int c = 0; c < count; ++c) {
            chunk.sample(b[c], two, n);
            if (w) {
              blend_row(w, one[c], two, value, n);
            } else {
              blend_row(weight.value, one[c], two, value, n);
            }
            store_row(value, out[c].row(y) + x * out[c].step, out[c].step, max_code, n);
          }
        }
      }
    });
  });
}

#define RM_WARP(T)                                                                                         \
  template void warp<T>(const Plane<const T>*, int, const Flow&, Sampler, float, const Plane<T>*);         \
  template void warp_blend<T>(const Plane<const T>*, const Plane<const T>*, int, const Flow&, const Flow&, \
                              const Weight&, Sampler, float, const Plane<T>*);
RM_WARP(uint8_t)
RM_WARP(uint16_t)
RM_WARP(Half)
RM_WARP(float)

}  // namespace reelmend::cpu
