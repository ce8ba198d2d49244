#include "cuda/launch.cuh"
#include "cuda/ops.cuh"
#include "ops/warp_shrunk.h"

namespace reelmend::cuda {
namespace {

template <class T, int kSides>
struct WarpShrunk {
  Plane<const T> in[kMaxPlanes];
  int count;
  FlowField<const float> flow;
  int shrink;
  float max_code;
  Plane<T> out[kMaxPlanes];

  __device__ void operator()(int x, int y) const {
    const auto shifts = shrunk_shifts<kSides>(flow, x, y, shrink, in[0].width, in[0].height);
    for (int c = 0; c < count; ++c) {
      out[c].at(x, y) = to_sample<T>(shrunk_at<T, kSides>(in[c], x, y, shrink, shifts, max_code), max_code);
    }
  }
};

template <int kSides, class T>
cudaError_t launch(const Plane<const T>* in, int count, const FlowField<const float>& flow, int shrink, float max_code,
                   const Plane<T>* out, cudaStream_t stream) {
  WarpShrunk<T, kSides> f{};
  for (int c = 0; c < count; ++c) {
    f.in[c] = in[c];
    f.out[c] = out[c];
  }
  f.count = count;
  f.flow = flow;
  f.shrink = shrink;
  f.max_code = max_code;
  return cuda::map(f, out[0].width, out[0].height, stream);
}

}  // namespace

template <class T>
cudaError_t warp_shrunk(const Plane<const T>* in, int count, const FlowField<const float>& flow, int shrink,
                        float max_code, const Plane<T>* out, cudaStream_t stream) {
  if (shrunk_sides(shrink) == 1) return launch<1>(in, count, flow, shrink, max_code, out, stream);
  return launch<2>(in, count, flow, shrink, max_code, out, stream);
}

#define RM_WARP_SHRUNK(T)                                                                                    \
  template cudaError_t warp_shrunk<T>(const Plane<const T>*, int, const FlowField<const float>&, int, float, \
                                      const Plane<T>*, cudaStream_t);
RM_WARP_SHRUNK(uint8_t)
RM_WARP_SHRUNK(uint16_t)
RM_WARP_SHRUNK(Half)
RM_WARP_SHRUNK(float)

}  // namespace reelmend::cuda
