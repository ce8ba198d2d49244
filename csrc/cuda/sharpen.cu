#include "cuda/launch.cuh"
#include "cuda/ops.cuh"
#include "ops/sharpen.h"

namespace reelmend::cuda {
namespace {

template <class T>
struct Sharpen {
  Plane<const T> in[kMaxPlanes];
  int count;
  Stack<const float> gains;
  float max_code;
  Plane<T> out[kMaxPlanes];

  __device__ void operator()(int x, int y) const {
    const SharpenGains g = sharpen_gains(gains, x, y, in[0].width, in[0].height);
    for (int c = 0; c < count; ++c) out[c].at(x, y) = to_sample<T>(sharpened_at(in[c], x, y, g), max_code);
  }
};

}  // namespace

template <class T>
cudaError_t sharpen(const Plane<const T>* in, int count, const Stack<const float>& gains, float max_code,
                    const Plane<T>* out, cudaStream_t stream) {
  Sharpen<T> f{{}, count, gains, max_code, {}};
  for (int c = 0; c < count; ++c) {
    f.in[c] = in[c];
    f.out[c] = out[c];
  }
  return cuda::map(f, out[0].width, out[0].height, stream);
}

#define RM_SHARPEN(T)                                                                                            \
  template cudaError_t sharpen<T>(const Plane<const T>*, int, const Stack<const float>&, float, const Plane<T>*, \
                                  cudaStream_t);
RM_SHARPEN(uint8_t)
RM_SHARPEN(uint16_t)
RM_SHARPEN(Half)
RM_SHARPEN(float)

}  // namespace reelmend::cuda
