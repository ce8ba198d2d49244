#include "cuda/launch.cuh"
#include "cuda/ops.cuh"
#include "ops/warp.h"

namespace reelmend::cuda {
namespace {

template <class T>
struct Planes {
  Plane<T> plane[kMaxPlanes];
};

template <class T>
Planes<T> planes_of(const Plane<T>* p, int count) {
  Planes<T> out{};
  for (int c = 0; c < count; ++c) out.plane[c] = p[c];
  return out;
}

template <class T, class S>
struct Warp {
  Planes<const T> in;
  int count;
  Flow flow;
  float max_code;
  Planes<T> out;

  __device__ void operator()(int x, int y) const {
    const Shift u = shift_of(flow.u.at(x, y), flow.scale);
    const Shift v = shift_of(flow.v.at(x, y), flow.scale);
    for (int c = 0; c < count; ++c) {
      const float value = sample_at<T, S::kFilter, S::kBorder>(in.plane[c], x, y, u, v);
      out.plane[c].at(x, y) = to_sample<T>(value, max_code);
    }
  }
};

template <class T, class S>
struct WarpBlend {
  Planes<const T> a, b;
  int count;
  Flow flow_a, flow_b;
  Weight weight;
  float max_code;
  Planes<T> out;

  __device__ void operator()(int x, int y) const {
    const Shift ua = shift_of(flow_a.u.at(x, y), flow_a.scale);
    const Shift va = shift_of(flow_a.v.at(x, y), flow_a.scale);
    const Shift ub = shift_of(flow_b.u.at(x, y), flow_b.scale);
    const Shift vb = shift_of(flow_b.v.at(x, y), flow_b.scale);
    const float w = weight.map.data ? weight.map.at(x, y) : weight.value;
    for (int c = 0; c < count; ++c) {
      const float one = sample_at<T, S::kFilter, S::kBorder>(a.plane[c], x, y, ua, va);
      const float two = sample_at<T, S::kFilter, S::kBorder>(b.plane[c], x, y, ub, vb);
      out.plane[c].at(x, y) = to_sample<T>(blend(w, one, two), max_code);
    }
  }
};

}  // namespace

template <class T>
cudaError_t warp(const Plane<const T>* in, int count, const Flow& flow, Sampler sampler, float max_code,
                 const Plane<T>* out, cudaStream_t stream) {
  return with_sampler(sampler, [&](auto s) {
    const Warp<T, decltype(s)> f{planes_of(in, count), count, flow, max_code, planes_of(out, count)};
    return cuda::map(f, out[0].width, out[0].height, stream);
  });
}

template <class T>
cudaError_t warp_blend(const Plane<const T>* a, const Plane<const T>* b, int count, const Flow& flow_a,
                       const Flow& flow_b, const Weight& weight, Sampler sampler, float max_code, const Plane<T>* out,
                       cudaStream_t stream) {
  return with_sampler(sampler, [&](auto s) {
    const WarpBlend<T, decltype(s)> f{
        planes_of(a, count), planes_of(b, count), count, flow_a, flow_b, weight, max_code, planes_of(out, count)};
    return cuda::map(f, out[0].width, out[0].height, stream);
  });
}

#define RM_WARP(T)                                                                                                \
  template cudaError_t warp<T>(const Plane<const T>*, int, const Flow&, Sampler, float, const Plane<T>*,          \
                               cudaStream_t);                                                                     \
  template cudaError_t warp_blend<T>(const Plane<const T>*, const Plane<const T>*, int, const Flow&, const Flow&, \
                                     const Weight&, Sampler, float, const Plane<T>*, cudaStream_t);
RM_WARP(uint8_t)
RM_WARP(uint16_t)
RM_WARP(Half)
RM_WARP(float)

}  // namespace reelmend::cuda
