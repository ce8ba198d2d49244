#include "cuda/launch.cuh"
#include "cuda/ops.cuh"
#include "ops/dense.h"

namespace reelmend::cuda {
namespace {

// One sample of a padded plane, each way counted from the first sample of the padding.
struct Pad {
  Plane<const uint8_t> in;
  Padded<float> out;

  __device__ void operator()(int x, int y) const {
    const int px = x - kPadBefore, py = y - kPadBefore;
    *out.at(px, py) = static_cast<float>(in.at(clamp_index(px, in.width), clamp_index(py, in.height)));
  }
};

struct LaneSamples {
  float a[kPatch], x[kPatch], y[kPatch];
};

// The lane's own samples and gradients: registers, as all indices are known.
struct Lane {
  LaneSamples* samples;
  __device__ float& a(int r) const { return samples->a[r]; }
  __device__ float& x(int r) const { return samples->x[r]; }
  __device__ float& y(int r) const { return samples->y[r]; }
};

// As sum_lanes, among the 8 threads of a patch: all get the same bits.
__device__ float exchange_sum(float v, unsigned threads) {
  v += __shfl_xor_sync(threads, v, 4);
  v += __shfl_xor_sync(threads, v, 2);
  v += __shfl_xor_sync(threads, v, 1);
  return v;
}

struct Differences {
  Padded<const float> b;
  LaneSamples* samples;
  int x, y, width, height, lane;
  unsigned threads;

  __device__ DifferenceSums operator()(float u, float v) const {
    const PatchAim aim = aim_patch(x, y, u, v, width, height);
    const DifferenceSums s = lane_differences(b.at(aim.x + lane, aim.y), b.stride, aim, Lane{samples});
    return {exchange_sum(s.d, threads), exchange_sum(s.dd, threads), exchange_sum(s.dx, threads),
            exchange_sum(s.dy, threads)};
  }
};

constexpr int kThreads = 128;
constexpr int kAtOnce = kThreads / kPatch;  // patches of a block

// What each of the 8 threads of a patch knows. They take the same branches, for they hold the same sums.
struct Patch {
  int i, j, x, y, lane;
  unsigned threads;

  __device__ explicit Patch(const Search& k)
      : i(static_cast<int>(blockIdx.x) * kAtOnce + static_cast<int>(threadIdx.x) / kPatch),
        j(static_cast<int>(blockIdx.y)),
        x(patch_place(i, k.width, k.stride)),
        y(patch_place(j, k.height, k.stride)),
        lane(static_cast<int>(threadIdx.x) % kPatch),
        threads(0xffu << (threadIdx.x % 32 / kPatch * kPatch)) {}

  __device__ Descent prepare(const Padded<const float>& a, LaneSamples* samples) const {
    const GradientSums s = lane_gradients(a.at(x + lane, y), a.stride, Lane{samples});
    return make_descent({exchange_sum(s.x, threads), exchange_sum(s.y, threads), exchange_sum(s.xx, threads),
                         exchange_sum(s.xy, threads), exchange_sum(s.yy, threads)});
  }
};

__global__ void __launch_bounds__(kThreads)
    search_kernel(Search k, Coarser c, Padded<const float> a, Padded<const float> b, PatchGrid<float> to) {
  const Patch p(k);
  if (p.i >= k.columns) return;
  LaneSamples samples;
  const Descent g = p.prepare(a, &samples);
  const PatchVector found = search_from(k, coarser_start(c, p.x, p.y), g,
                                        Differences{b, &samples, p.x, p.y, k.width, k.height, p.lane, p.threads});
  if (p.lane == 0) to.set(p.i, p.j, found);
}

__global__ void __launch_bounds__(kThreads)
    search_again_kernel(Search k, PatchGrid<const float> found, Padded<const float> a, Padded<const float> b,
                        PatchGrid<float> to) {
  const Patch p(k);
  if (p.i >= k.columns) return;
  PatchVector best = found.get(p.i, p.j);
  if (!alike_around(found, p.i, p.j)) {
    LaneSamples samples;
    const Descent g = p.prepare(a, &samples);
    best =
        search_again(k, found, p.i, p.j, g, Differences{b, &samples, p.x, p.y, k.width, k.height, p.lane, p.threads});
  }
  if (p.lane == 0) to.set(p.i, p.j, best);
}

struct Average {
  Search k;
  Padded<const float> a, b;
  PatchGrid<const float> found;
  FlowField<float> out;

  __device__ void operator()(int x, int y) const {
    const float here = *a.at(x, y);
    const int turns = patch_turns(k.stride);
    const int begin = first_patch(x, k.columns, k.stride);
    float sum_u = 0.0f, sum_v = 0.0f, weight = 0.0f;
    for (int j = first_patch(y, k.rows, k.stride); j < k.rows; ++j) {
      const int top = patch_place(j, k.height, k.stride);
      if (top > y) break;
      for (int turn = 0; turn < turns; ++turn) {
        for (int i = first_of_turn(begin, turn, turns); i < k.columns; i += turns) {
          const int left = patch_place(i, k.width, k.stride);
          if (left > x) break;
          const PatchVector p = found.get(i, j);
          const PatchAim aim = aim_patch(left, top, p.u, p.v, k.width, k.height);
          const float w = vector_weight(b.at(aim.x + (x - left), aim.y + (y - top)), b.stride, aim, p.mean, here);
          sum_u += w * p.u;
          sum_v += w * p.v;
          weight += w;
        }
      }
    }
    out.u.at(x, y) = sum_u / weight;
    out.v.at(x, y) = sum_v / weight;
  }
};

}  // namespace

cudaError_t dense_level(const Plane<const uint8_t>& a, const Plane<const uint8_t>& b, const Coarser& coarser,
                        const Search& search, int rounds, const Padded<float>& padded_a, const Padded<float>& padded_b,
                        const PatchGrid<float>& patches, const PatchGrid<float>& others, const FlowField<float>& out,
                        cudaStream_t stream) {
  const int pads = kPadBefore + kPadAfter;
  cudaError_t status = cuda::map(Pad{a, padded_a}, a.width + pads, a.height + pads, stream);
  if (status == cudaSuccess) status = cuda::map(Pad{b, padded_b}, b.width + pads, b.height + pads, stream);
  if (status != cudaSuccess) return status;
  const Padded<const float> from{padded_a.data, padded_a.stride}, to{padded_b.data, padded_b.stride};
  const dim3 grid(static_cast<unsigned>((search.columns + kAtOnce - 1) / kAtOnce), static_cast<unsigned>(search.rows));
  search_kernel<<<grid, kThreads, 0, stream>>>(search, coarser, from, to, patches);
  PatchGrid<const float> found{patches.data, patches.columns, patches.rows};
  for (int round = 1; round < rounds; ++round) {
    const PatchGrid<float>& next = round & 1 ? others : patches;
    search_again_kernel<<<grid, kThreads, 0, stream>>>(search, found, from, to, next);
    found.data = next.data;
  }
  status = cudaGetLastError();
  if (status != cudaSuccess) return status;
  return cuda::map(Average{search, from, to, found, out}, search.width, search.height, stream);
}

}  // namespace reelmend::cuda
