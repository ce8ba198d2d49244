#include "cuda/launch.cuh"
#include "cuda/ops.cuh"
#include "ops/flow.h"

namespace reelmend::cuda {
namespace {

struct Consistency {
  FlowField<const float> forward, backward;
  ConsistencyRule rule;
  Plane<float> out;

  __device__ void operator()(int x, int y) const {
    const float u = forward.u.at(x, y);
    const float v = forward.v.at(x, y);
    const Shift su = shift_of(u, 1.0f);
    const Shift sv = shift_of(v, 1.0f);
    const float bu = sample_at<float, Filter::bilinear, Border::edge>(backward.u, x, y, su, sv);
    const float bv = sample_at<float, Filter::bilinear, Border::edge>(backward.v, x, y, su, sv);
    out.at(x, y) = consistency_at(rule, x, y, out.width, out.height, u, v, bu, bv);
  }
};

struct FlowsAt {
  FlowField<const float> forward, backward;
  FlowWeights w;
  FlowField<float> first, second;

  __device__ void operator()(int x, int y) const {
    const float fu = forward.u.at(x, y), fv = forward.v.at(x, y);
    const float bu = backward.u.at(x, y), bv = backward.v.at(x, y);
    first.u.at(x, y) = mix2(w.a[0], fu, w.a[1], bu);
    first.v.at(x, y) = mix2(w.a[0], fv, w.a[1], bv);
    second.u.at(x, y) = mix2(w.b[0], fu, w.b[1], bu);
    second.v.at(x, y) = mix2(w.b[0], fv, w.b[1], bv);
  }
};

}  // namespace

cudaError_t consistency(const FlowField<const float>& forward, const FlowField<const float>& backward,
                        const ConsistencyRule& rule, const Plane<float>& out, cudaStream_t stream) {
  return cuda::map(Consistency{forward, backward, rule, out}, out.width, out.height, stream);
}

cudaError_t flows_at(const FlowField<const float>& forward, const FlowField<const float>& backward,
                     const FlowWeights& weights, const FlowField<float>& first, const FlowField<float>& second,
                     cudaStream_t stream) {
  return cuda::map(FlowsAt{forward, backward, weights, first, second}, first.u.width, first.u.height, stream);
}

}  // namespace reelmend::cuda
