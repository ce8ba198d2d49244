#include "cuda/launch.cuh"
#include "cuda/ops.cuh"
#include "ops/resize.h"

namespace reelmend::cuda {
namespace {

template <class T, Resizing kFilter>
struct Resize {
  Plane<const T> in;
  float gain;
  float max_code;
  Plane<T> out;

  __device__ void operator()(int x, int y) const {
    const float value = resized_at<T, kFilter>(in, x, y, out.width, out.height);
    out.at(x, y) = to_sample<T>(value * gain, max_code);
  }
};

}  // namespace

template <class T>
cudaError_t resize(const Plane<const T>& in, Resizing filter, float gain, float max_code, const Plane<T>& out,
                   cudaStream_t stream) {
  const int w = out.width;
  const int h = out.height;
  if (filter == Resizing::area) {
    return cuda::map(Resize<T, Resizing::area>{in, gain, max_code, out}, w, h, stream);
  }
  return cuda::map(Resize<T, Resizing::bilinear>{in, gain, max_code, out}, w, h, stream);
}

#define RM_RESIZE(T) \
  template cudaError_t resize<T>(const Plane<const T>&, Resizing, float, float, const Plane<T>&, cudaStream_t);
RM_RESIZE(uint8_t)
RM_RESIZE(uint16_t)
RM_RESIZE(Half)
RM_RESIZE(float)

}  // namespace reelmend::cuda
