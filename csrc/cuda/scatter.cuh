// How a GPU scatters: one thread a source pixel, atomic additions to cells of the whole picture, then one thread a
// place. As on the CPU (cpu/scatter.h), of which it has the sums to the bit.
//
// Scratch: cells, then, where there is a metric, the largest one given to each place (Tent) or the largest of all
// (Box), as ordered integers.
#pragma once

#include "cuda/launch.cuh"
#include "ops/projection.h"

namespace reelmend::cuda {

// Integers in the order of the floats.
__device__ __forceinline__ int ordered_bits(float f) {
  const int bits = bits_of_float(f);
  return bits ^ (bits >> 31 & 0x7fffffff);
}
__device__ __forceinline__ float float_of_ordered(int bits) {
  return float_of_bits(bits ^ (bits >> 31 & 0x7fffffff));
}
constexpr int kLeastByte = 0x80;  // four of them: below every tame metric

__device__ __forceinline__ void add_to(uint64_t* to, uint64_t amount) {
  if (amount) atomicAdd(reinterpret_cast<unsigned long long*>(to), static_cast<unsigned long long>(amount));
}

struct Sums {
  uint64_t* cells;
  int* most;
  int width, height;
};

template <class C>
int64_t cell_words(int width, int height) {
  return static_cast<int64_t>(width) * height * C::kSums * 2;
}

// Calls f(corner, place) for each of the places inside the picture that pixel (x, y) gives something to.
template <class Rule, class F>
__device__ __forceinline__ void each_corner(const Flow& flow, const Sums& sums, int x, int y, const F& f) {
  const Shift u = shift_of(flow.u.at(x, y), flow.scale);
  const Shift v = shift_of(flow.v.at(x, y), flow.scale);
  const float px = static_cast<float>(x) + u.whole;
  const float py = static_cast<float>(y) + v.whole;
  const Extent extent{static_cast<float>(sums.width - 1), static_cast<float>(sums.height - 1)};
  const Corners c = Rule::corners(extent, px, u.part, py, v.part);
  for (int k = 0; k < Rule::kCorners; ++k) {
    const int to_x = static_cast<int>(px) + (k & 1);
    const int to_y = static_cast<int>(py) + (k >> 1);
    const bool inside = to_x >= 0 && to_x < sums.width && to_y >= 0 && to_y < sums.height;
    if (inside && c.w[k] > 0.0f) f(static_cast<int>(c.w[k]), static_cast<int64_t>(to_y) * sums.width + to_x);
  }
}

template <Splat kMode>
__device__ __forceinline__ bool gives(float metric) {
  return kMode != Splat::linear || metric > 0.0f;
}

template <Splat kMode, class Rule>
struct RaiseMost {
  Flow flow;
  Plane<const float> metric;
  Sums sums;

  __device__ void operator()(int x, int y) const {
    const float m = tame_metric<kMode>(metric.at(x, y));
    if (!gives<kMode>(m)) return;
    each_corner<Rule>(flow, sums, x, y, [&](int, int64_t place) { atomicMax(sums.most + place, ordered_bits(m)); });
  }
};

// load(x, y, values): the fixed-point values of the planes.
template <class C, Splat kMode, class Rule, class Load>
struct AddCells {
  Flow flow;
  Plane<const float> metric;
  Sums sums;
  Load load;

  __device__ void operator()(int x, int y) const {
    const float m = kMode == Splat::average ? 0.0f : tame_metric<kMode>(metric.at(x, y));
    if (kMode != Splat::average && !gives<kMode>(m)) return;
    uint32_t values[C::kPlanes];
    load(x, y, values);
    each_corner<Rule>(flow, sums, x, y, [&](int corner, int64_t place) {
      const uint64_t weight = static_cast<uint64_t>(weigh(corner, m, place));
      uint64_t* const cell = sums.cells + place * C::kSums;
      for (int p = 0; p < C::kPlanes; ++p) {
        const uint64_t amount = weight * values[p];
        if constexpr (C::kWide) {
          add_to(cell + 2 * p, amount & 0xffffffffu);
          add_to(cell + 2 * p + 1, amount >> 32);
        } else {
          add_to(cell + p, amount);
        }
      }
      add_to(cell + C::kWeight, weight);
      if constexpr (C::kWide && Rule::kCorners == 4) add_to(cell + C::kCorner, static_cast<uint64_t>(corner));
    });
  }

  __device__ int weigh(int corner, float m, int64_t place) const {
    if constexpr (kMode == Splat::average) return corner;
    if constexpr (Rule::kCorners == 1) return depth_weight_of(corner, m, float_of_ordered(*sums.most));
    return weight_of<kMode>(corner, m, float_of_ordered(sums.most[place]));
  }
};

// Adds up the cells of the whole picture. Where there is a metric, the largest ones were found before.
template <class C, Splat kMode, class Rule, class Load>
cudaError_t scatter(const Flow& flow, const Plane<const float>& metric, const Sums& sums, const Load& load,
                    cudaStream_t stream) {
  const size_t bytes = static_cast<size_t>(cell_words<C>(sums.width, sums.height)) * sizeof(int);
  const cudaError_t status = cudaMemsetAsync(sums.cells, 0, bytes, stream);
  if (status != cudaSuccess) return status;
  return cuda::map(AddCells<C, kMode, Rule, Load>{flow, metric, sums, load}, sums.width, sums.height, stream);
}

template <class C>
Sums sums_of(int width, int height, int* scratch) {
  return {reinterpret_cast<uint64_t*>(scratch), scratch + cell_words<C>(width, height), width, height};
}

}  // namespace reelmend::cuda
