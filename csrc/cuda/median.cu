#include "cuda/launch.cuh"
#include "cuda/ops.cuh"
#include "ops/median.h"

namespace reelmend::cuda {
namespace {

template <int kSize>
struct Median {
  FlowField<const float> in;
  FlowField<float> out;

  __device__ void operator()(int x, int y) const {
    out.u.at(x, y) = median_at<kSize>(in.u, x, y);
    out.v.at(x, y) = median_at<kSize>(in.v, x, y);
  }
};

}  // namespace

cudaError_t median_flow(const FlowField<const float>& in, int size, const FlowField<float>& out, cudaStream_t stream) {
  if (size == 3) return cuda::map(Median<3>{in, out}, out.u.width, out.u.height, stream);
  return cuda::map(Median<5>{in, out}, out.u.width, out.u.height, stream);
}

}  // namespace reelmend::cuda
