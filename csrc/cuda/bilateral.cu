#include "cuda/launch.cuh"
#include "cuda/ops.cuh"
#include "ops/bilateral.h"

namespace reelmend::cuda {
namespace {

template <class T>
struct Bilateral {
  FlowField<const float> flow;
  Plane<const T> guide;
  Plane<const float> confidence;
  BilateralTables tables;
  FlowField<float> out;

  __device__ void operator()(int x, int y) const {
    const FlowSum sum = bilateral_at(tables, flow, guide, confidence, x, y);
    out.u.at(x, y) = weighed(sum.u, sum.weight, flow.u.at(x, y));
    out.v.at(x, y) = weighed(sum.v, sum.weight, flow.v.at(x, y));
  }
};

}  // namespace

template <class T>
cudaError_t bilateral_flow(const FlowField<const float>& flow, const Plane<const T>& guide,
                           const Plane<const float>& confidence, const BilateralTables& tables,
                           const FlowField<float>& out, cudaStream_t stream) {
  return cuda::map(Bilateral<T>{flow, guide, confidence, tables, out}, guide.width, guide.height, stream);
}

#define RM_BILATERAL(T)                                                                                              \
  template cudaError_t bilateral_flow<T>(const FlowField<const float>&, const Plane<const T>&,                       \
                                         const Plane<const float>&, const BilateralTables&, const FlowField<float>&, \
                                         cudaStream_t);
RM_BILATERAL(uint8_t)
RM_BILATERAL(uint16_t)
RM_BILATERAL(float)

}  // namespace reelmend::cuda
