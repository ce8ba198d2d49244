#include "cuda/ops.cuh"
#include "cuda/scatter.cuh"
#include "ops/projection.h"

namespace reelmend::cuda {
namespace {

template <bool kWeighted>
using CellOf = Cell<2, kWeighted>;
constexpr int kThreads = 128;
constexpr int kWarp = 32;
constexpr unsigned kAll = 0xffffffffu;

struct LoadWayBack {
  Flow flow;
  __device__ void operator()(int x, int y, uint32_t* values) const {
    values[0] = fixed_of<float>(way_back(flow.u.at(x, y), flow.scale));
    values[1] = fixed_of<float>(way_back(flow.v.at(x, y), flow.scale));
  }
};

// The largest depth weight: that of a warp's pixels, then of the picture. `most` begins at 0, as bits of a float.
struct FindMost {
  Plane<const float> weight;
  int* most;

  __device__ void operator()(int x, int y) const {
    const int mine = bits_of_float(tame_metric<Splat::linear>(weight.at(x, y)));
    const unsigned active = __activemask();
    int largest = mine;
#if __CUDA_ARCH__ >= 800
    largest = __reduce_max_sync(active, mine);
    if (mine != largest) return;
#endif
    if (largest > *const_cast<volatile int*>(most)) atomicMax(most, largest);
  }
};

template <class C>
struct StoreFlow {
  Sums sums;
  Plane<float> u, v;
  Plane<uint8_t> holes;

  __device__ void operator()(int x, int y) const {
    const int64_t down = static_cast<int64_t>(sums.width) * C::kSums;
    const uint64_t* const cell = sums.cells + y * down + static_cast<int64_t>(x) * C::kSums;
    const uint64_t across = x + 1 == sums.width ? 2 : 1;
    const uint64_t along = y + 1 == sums.height ? 2 : 1;
    uint64_t box[C::kSums];
    for (int s = 0; s < C::kSums; ++s) {
      box[s] = along * across * cell[s];
      if (x > 0) box[s] += along * cell[s - C::kSums];
      if (y > 0) box[s] += across * cell[s - down];
      if (x > 0 && y > 0) box[s] += cell[s - down - C::kSums];
    }
    u.at(x, y) = mean_of<C, float>(box, 0);
    v.at(x, y) = mean_of<C, float>(box, 1);
    holes.at(x, y) = box[C::kWeight] == 0 ? 1 : 0;
  }
};

// One thread a column: the nearest places above and below a hole, kept in u.
__global__ void __launch_bounds__(kThreads) columns_kernel(Plane<uint8_t> holes, Plane<float> u) {
  const int x = static_cast<int>(blockIdx.x * kThreads + threadIdx.x);
  if (x >= holes.width) return;
  int last = -1;
#pragma unroll 8
  for (int y = holes.height - 1; y >= 0; --y) {
    if (holes.at(x, y)) {
      u.at(x, y) = keep_two(y, last < 0 ? y : last);
    } else {
      last = y;
    }
  }
  last = -1;
#pragma unroll 8
  for (int y = 0; y < holes.height; ++y) {
    if (holes.at(x, y)) {
      u.at(x, y) = keep_two(last < 0 ? y : last, kept_high(u.at(x, y)));
    } else {
      last = y;
    }
  }
}

// One warp a row: the nearest places to the left and right of a hole, kept in v. A warp sees 32 places at once, and
// carries on the last one of those behind.
__global__ void __launch_bounds__(kThreads) rows_kernel(Plane<uint8_t> holes, Plane<float> v) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const int y = static_cast<int>(blockIdx.x * (kThreads / kWarp) + threadIdx.x / kWarp);
  if (y >= holes.height) return;
  const int steps = (holes.width + kWarp - 1) / kWarp;
  int last = -1;
  for (int s = 0; s < steps; ++s) {
    const int first = s * kWarp;
    const int x = first + lane;
    const bool hole = x < holes.width && holes.at(x, y);
    const unsigned known = __ballot_sync(kAll, x < holes.width && !hole);
    const unsigned before = known & ((1u << lane) - 1u);
    const int left = before ? first + 31 - __clz(static_cast<int>(before)) : last;
    if (hole) v.at(x, y) = keep_two(left < 0 ? x : left, x);
    if (known) last = first + 31 - __clz(static_cast<int>(known));
  }
  last = -1;
  for (int s = steps - 1; s >= 0; --s) {
    const int first = s * kWarp;
    const int x = first + lane;
    const bool hole = x < holes.width && holes.at(x, y);
    const unsigned known = __ballot_sync(kAll, x < holes.width && !hole);
    const unsigned after = lane == 31 ? 0u : known & ~((2u << lane) - 1u);
    const int right = after ? first + __ffs(static_cast<int>(after)) - 1 : last;
    if (hole) v.at(x, y) = keep_two(kept_low(v.at(x, y)), right < 0 ? x : right);
    if (known) last = first + __ffs(static_cast<int>(known)) - 1;
  }
}

struct FillHoles {
  Plane<uint8_t> holes;
  Plane<float> u, v;

  __device__ void operator()(int x, int y) const {
    if (!holes.at(x, y)) return;
    const float rows = u.at(x, y);
    const float columns = v.at(x, y);
    const Sides s{kept_low(columns), kept_high(columns), kept_low(rows), kept_high(rows)};
    u.at(x, y) = mean_of_sides(u, x, y, s);
    v.at(x, y) = mean_of_sides(v, x, y, s);
  }
};

}  // namespace

int64_t project_words(int width, int height, bool weighted, int) {
  return weighted ? cell_words<CellOf<true>>(width, height) + 1 : cell_words<CellOf<false>>(width, height);
}

cudaError_t project_flow(const Flow& flow, const Plane<const float>& weight, bool fill, const Plane<float>& u,
                         const Plane<float>& v, const Plane<uint8_t>& holes, int* scratch, int64_t,
                         cudaStream_t stream) {
  const auto run = [&](auto cell, auto mode) {
    using C = decltype(cell);
    const Sums sums = sums_of<C>(u.width, u.height, scratch);
    if constexpr (C::kWide) {
      const cudaError_t cleared = cudaMemsetAsync(sums.most, 0, sizeof(int), stream);
      if (cleared != cudaSuccess) return cleared;
      const cudaError_t found = cuda::map(FindMost{weight, sums.most}, u.width, u.height, stream);
      if (found != cudaSuccess) return found;
    }
    const cudaError_t added = scatter<C, decltype(mode)::kValue, Box>(flow, weight, sums, LoadWayBack{flow}, stream);
    if (added != cudaSuccess) return added;
    return cuda::map(StoreFlow<C>{sums, u, v, holes}, u.width, u.height, stream);
  };
  cudaError_t status =
      weight.data ? run(CellOf<true>{}, ModeOf<Splat::linear>{}) : run(CellOf<false>{}, ModeOf<Splat::average>{});
  if (status != cudaSuccess || !fill) return status;
  const auto blocks = [](int n, int each) { return static_cast<unsigned>((n + each - 1) / each); };
  columns_kernel<<<blocks(u.width, kThreads), kThreads, 0, stream>>>(holes, u);
  rows_kernel<<<blocks(u.height, kThreads / kWarp), kThreads, 0, stream>>>(holes, v);
  status = cudaGetLastError();
  if (status != cudaSuccess) return status;
  return cuda::map(FillHoles{holes, u, v}, u.width, u.height, stream);
}

}  // namespace reelmend::cuda
