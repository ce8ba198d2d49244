#include "ops/flow.h"

#include "cpu/launch.h"
#include "cpu/ops.h"
#include "cpu/sample.h"

namespace reelmend::cpu {
namespace {

constexpr int kGrain = 8;

RM_CLONES void consistency_row(const ConsistencyRule r, int x, int y, int width, int height, const float* __restrict u,
                               const float* __restrict v, const float* __restrict bu, const float* __restrict bv,
                               float* __restrict to, int n) {
  for (int i = 0; i < n; ++i) to[i] = consistency_at(r, x + i, y, width, height, u[i], v[i], bu[i], bv[i]);
}

RM_CLONES void combine_row(const FlowWeights w, const float* __restrict f, const float* __restrict b,
                           float* __restrict first, float* __restrict second, int n) {
  for (int i = 0; i < n; ++i) {
    const float one = f[i], two = b[i];
    first[i] = mix2(w.a[0], one, w.a[1], two);
    second[i] = mix2(w.b[0], one, w.b[1], two);
  }
}

}  // namespace

void consistency(const FlowField<const float>& forward, const FlowField<const float>& backward,
                 const ConsistencyRule& rule, const Plane<float>& out) {
  parallel(out.height, kGrain, [&](int first, int last) {
    Chunk<SamplerOf<Filter::bilinear, Border::edge>> chunk(out.width, out.height);
    const Flow flow{forward.u, forward.v, 1.0f};
    float own[2][kRoom], there[2][kRoom], value[kRoom];
    for (int y = first; y < last; ++y) {
      for (int x = 0; x < out.width; x += kPixels) {
        const int n = std::min(kPixels, out.width - x);
        const float* const u = flat_row(forward.u, x, y, own[0], n);
        const float* const v = flat_row(forward.v, x, y, own[1], n);
        chunk.aim(flow, x, y, n);
        chunk.sample_pair(backward.u, backward.v, there[0], there[1], n);
        float* const to = out.step == 1 ? out.row(y) + x : value;
        consistency_row(rule, x, y, out.width, out.height, u, v, there[0], there[1], to, n);
        if (out.step != 1) store_row(value, out.row(y) + x * out.step, out.step, 0.0f, n);
      }
    }
  });
}

void flows_at(const FlowField<const float>& forward, const FlowField<const float>& backward, const FlowWeights& weights,
              const FlowField<float>& first_out, const FlowField<float>& second_out) {
  const Plane<const float> f[2] = {forward.u, forward.v}, b[2] = {backward.u, backward.v};
  const Plane<float> one[2] = {first_out.u, first_out.v}, two[2] = {second_out.u, second_out.v};
  const int width = one[0].width;
  parallel(one[0].height, kGrain, [&](int first, int last) {
    float buffer[2][kChunk], value[2][kChunk];
    for (int y = first; y < last; ++y) {
      for (int c = 0; c < 2; ++c) {
        for (int x = 0; x < width; x += kChunk) {
          const int n = std::min(kChunk, width - x);
          const float* const from_f = flat_row(f[c], x, y, buffer[0], n);
          const float* const from_b = flat_row(b[c], x, y, buffer[1], n);
          float* const to[2] = {one[c].step == 1 ? one[c].row(y) + x : value[0],
                                two[c].step == 1 ? two[c].row(y) + x : value[1]};
          combine_row(weights, from_f, from_b, to[0], to[1], n);
          if (one[c].step != 1) store_row(value[0], one[c].row(y) + x * one[c].step, one[c].step, 0.0f, n);
          if (two[c].step != 1) store_row(value[1], two[c].row(y) + x * two[c].step, two[c].step, 0.0f, n);
        }
      }
    }
  });
}

}  // namespace reelmend::cpu
