#include "cuda/launch.cuh"
#include "cuda/ops.cuh"
#include "ops/compose.h"

namespace reelmend::cuda {
namespace {

__device__ float enlarged(const Plane<const float>& p, int x, int y, int width, int height) {
  return resized_at<float, Resizing::bilinear>(p, x, y, width, height);
}

template <class T, class S>
struct Compose {
  Terms<T> in;
  float max_code;
  Plane<T> out[kMaxPlanes];

  __device__ void operator()(int x, int y) const {
    const int width = out[0].width, height = out[0].height;
    const Flow& grid = in.term[0].flow;
    const float across = static_cast<float>(width) / static_cast<float>(grid.u.width);
    const float down = static_cast<float>(height) / static_cast<float>(grid.u.height);
    float sum[kMaxPlanes] = {0.0f, 0.0f, 0.0f, 0.0f};
    for (int k = 0; k < in.count; ++k) {
      const Term<T>& term = in.term[k];
      const Shift u = shift_of(enlarged(term.flow.u, x, y, width, height) * across, term.flow.scale);
      const Shift v = shift_of(enlarged(term.flow.v, x, y, width, height) * down, term.flow.scale);
      const float w = term.weight.map.data ? enlarged(term.weight.map, x, y, width, height) * 1.0f : term.weight.value;
#pragma unroll
      for (int c = 0; c < kMaxPlanes; ++c) {
        if (c >= in.planes) break;
        const float value = sample_at<T, S::kFilter, S::kBorder>(term.plane[c], x, y, u, v);
        sum[c] = add_term(sum[c], w, value);
      }
    }
#pragma unroll
    for (int c = 0; c < kMaxPlanes; ++c) {
      if (c >= in.planes) break;
      out[c].at(x, y) = to_sample<T>(sum[c], max_code);
    }
  }
};

struct Trace {
  FlowField<const float> flow, beyond;
  Tracing rule;
  FlowField<float> to_first, to_second;

  __device__ void operator()(int x, int y) const {
    float u = 0.0f, v = 0.0f;
    float fu = flow.u.at(x, y), fv = flow.v.at(x, y);
    float bu = -fu, bv = -fv;
    if (beyond.u.data) {
      bu = beyond.u.at(x, y);
      bv = beyond.v.at(x, y);
    }
    traced(rule, fu, fv, bu, bv, &u, &v);
    for (int step = 0; step < rule.steps; ++step) {
      const Shift su = shift_of(u, 1.0f);
      const Shift sv = shift_of(v, 1.0f);
      fu = sample_at<float, Filter::bilinear, Border::edge>(flow.u, x, y, su, sv);
      fv = sample_at<float, Filter::bilinear, Border::edge>(flow.v, x, y, su, sv);
      bu = -fu;
      bv = -fv;
      if (beyond.u.data) {
        bu = sample_at<float, Filter::bilinear, Border::edge>(beyond.u, x, y, su, sv);
        bv = sample_at<float, Filter::bilinear, Border::edge>(beyond.v, x, y, su, sv);
      }
      traced(rule, fu, fv, bu, bv, &u, &v);
    }
    to_first.u.at(x, y) = u;
    to_first.v.at(x, y) = v;
    to_second.u.at(x, y) = u + fu;
    to_second.v.at(x, y) = v + fv;
  }
};

template <class T>
struct Overlay {
  Plane<const T> a, b;
  FlowField<const float> flow;
  OverlayRule rule;
  Plane<uint8_t> count;

  __device__ void operator()(int x, int y) const {
    int least = a.at(x, y), most = least;
    for (int j = -kAround; j <= kAround; ++j) {
      for (int i = -kAround; i <= kAround; ++i) {
        const int value = a.at(clamp_index(x + i, a.width), clamp_index(y + j, a.height));
        least = value < least ? value : least;
        most = most < value ? value : most;
      }
    }
    const float across = static_cast<float>(a.width) / static_cast<float>(flow.u.width);
    const float down = static_cast<float>(a.height) / static_cast<float>(flow.u.height);
    const float u = enlarged(flow.u, x, y, a.width, a.height) * across;
    const float v = enlarged(flow.v, x, y, a.width, a.height) * down;
    const int change = static_cast<int>(b.at(x, y)) - static_cast<int>(a.at(x, y));
    uint8_t& n = count.at(x, y);
    n = static_cast<uint8_t>(overlay_count(rule, n, change, most - least, u, v));
  }
};

template <class T>
struct LayOver {
  Plane<const T> source;
  Plane<const uint8_t> count;
  int least;
  Plane<T> out;

  __device__ void operator()(int x, int y) const {
    const Cover rows = cover_of(y, out.height, count.height);
    const Cover columns = cover_of(x, out.width, count.width);
    int most = 0;
    for (int j = rows.first; j <= rows.last; ++j) {
      for (int i = columns.first; i <= columns.last; ++i) {
        const int value = count.at(i, j);
        most = most < value ? value : most;
      }
    }
    if (most >= least) out.at(x, y) = source.at(x, y);
  }
};

}  // namespace

template <class T>
cudaError_t compose(const Terms<T>& in, Sampler sampler, float max_code, const Plane<T>* out, cudaStream_t stream) {
  return with_sampler(sampler, [&](auto s) {
    Compose<T, decltype(s)> f{in, max_code, {}};
    for (int c = 0; c < in.planes; ++c) f.out[c] = out[c];
    return cuda::map(f, out[0].width, out[0].height, stream);
  });
}

template cudaError_t compose<uint8_t>(const Terms<uint8_t>&, Sampler, float, const Plane<uint8_t>*, cudaStream_t);
template cudaError_t compose<uint16_t>(const Terms<uint16_t>&, Sampler, float, const Plane<uint16_t>*, cudaStream_t);
template cudaError_t compose<float>(const Terms<float>&, Sampler, float, const Plane<float>*, cudaStream_t);

cudaError_t trace(const FlowField<const float>& flow, const FlowField<const float>& beyond, const Tracing& rule,
                  const FlowField<float>& to_first, const FlowField<float>& to_second, cudaStream_t stream) {
  return cuda::map(Trace{flow, beyond, rule, to_first, to_second}, flow.u.width, flow.u.height, stream);
}

template <class T>
cudaError_t overlay(const Plane<const T>& a, const Plane<const T>& b, const FlowField<const float>& flow,
                    const OverlayRule& rule, const Plane<uint8_t>& count, cudaStream_t stream) {
  return cuda::map(Overlay<T>{a, b, flow, rule, count}, a.width, a.height, stream);
}

template cudaError_t overlay<uint8_t>(const Plane<const uint8_t>&, const Plane<const uint8_t>&,
                                      const FlowField<const float>&, const OverlayRule&, const Plane<uint8_t>&,
                                      cudaStream_t);
template cudaError_t overlay<uint16_t>(const Plane<const uint16_t>&, const Plane<const uint16_t>&,
                                       const FlowField<const float>&, const OverlayRule&, const Plane<uint8_t>&,
                                       cudaStream_t);

template <class T>
cudaError_t lay_over(const Plane<const T>& source, const Plane<const uint8_t>& count, int least, const Plane<T>& out,
                     cudaStream_t stream) {
  return cuda::map(LayOver<T>{source, count, least, out}, out.width, out.height, stream);
}

template cudaError_t lay_over<uint8_t>(const Plane<const uint8_t>&, const Plane<const uint8_t>&, int,
                                       const Plane<uint8_t>&, cudaStream_t);
template cudaError_t lay_over<uint16_t>(const Plane<const uint16_t>&, const Plane<const uint8_t>&, int,
                                        const Plane<uint16_t>&, cudaStream_t);

}  // namespace reelmend::cuda
