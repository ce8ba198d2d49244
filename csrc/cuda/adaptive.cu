#include "cuda/launch.cuh"
#include "cuda/ops.cuh"
#include "ops/adaptive.h"

namespace reelmend::cuda {
namespace {

template <class T>
struct AdaptiveWarp {
  Plane<const T> in[kMaxPlanes];
  int count;
  Flow flow;
  Stack<const float> taps;
  float max_code;
  Plane<T> out[kMaxPlanes];

  __device__ void operator()(int x, int y) const {
    const AdaptiveAxis ax = adaptive_axis(in[0].width, static_cast<float>(x), flow.u.at(x, y), flow.scale);
    const AdaptiveAxis ay = adaptive_axis(in[0].height, static_cast<float>(y), flow.v.at(x, y), flow.scale);
    float own[16];
    for (int p = 0; p < 16; ++p) own[p] = taps.at(p, x, y);
    for (int c = 0; c < count; ++c) out[c].at(x, y) = to_sample<T>(adaptive_at(in[c], own, x, y, ax, ay), max_code);
  }
};

}  // namespace

template <class T>
cudaError_t adaptive_warp(const Plane<const T>* in, int count, const Flow& flow, const Stack<const float>& taps,
                          float max_code, const Plane<T>* out, cudaStream_t stream) {
  AdaptiveWarp<T> f{{}, count, flow, taps, max_code, {}};
  for (int c = 0; c < count; ++c) {
    f.in[c] = in[c];
    f.out[c] = out[c];
  }
  return cuda::map(f, out[0].width, out[0].height, stream);
}

#define RM_ADAPTIVE(T)                                                                                             \
  template cudaError_t adaptive_warp<T>(const Plane<const T>*, int, const Flow&, const Stack<const float>&, float, \
                                        const Plane<T>*, cudaStream_t);
RM_ADAPTIVE(uint8_t)
RM_ADAPTIVE(uint16_t)
RM_ADAPTIVE(float)

}  // namespace reelmend::cuda
