#include "cuda/launch.cuh"
#include "cuda/ops.cuh"
#include "ops/quantile.h"
#include "ops/smooth.h"

namespace reelmend::cuda {
namespace {

constexpr int kThreads = 256;

// A block a histogram. The list of occupied levels is made by one thread: at most 1024 additions, a few microseconds.
__global__ void __launch_bounds__(kThreads) quantile_kernel(const int* histograms, int bins, int points, float* out) {
  __shared__ long long ranks[kMaxBins];
  __shared__ int levels[kMaxBins];
  __shared__ long long total;
  __shared__ int occupied;
  const int row = static_cast<int>(blockIdx.x);
  if (threadIdx.x == 0) occupied = occupied_levels(histograms + row * bins, bins, ranks, levels, &total);
  __syncthreads();
  for (int k = static_cast<int>(threadIdx.x); k < points; k += kThreads) {
    out[row * points + k] = quantile_at(ranks, levels, occupied, total, bins, k, points);
  }
}

__global__ void __launch_bounds__(kThreads)
    smooth_kernel(const float* tables, const float* weights, int count, int n, float* out) {
  const int i = static_cast<int>(blockIdx.x * kThreads + threadIdx.x);
  if (i < n) out[i] = weighted_mean(tables, weights, count, n, i);
}

}  // namespace

cudaError_t quantiles(const int* histograms, int rows, int bins, int points, float* out, cudaStream_t stream) {
  quantile_kernel<<<static_cast<unsigned>(rows), kThreads, 0, stream>>>(histograms, bins, points, out);
  return cudaGetLastError();
}

cudaError_t smooth(const float* tables, const float* weights, int count, int n, float* out, cudaStream_t stream) {
  smooth_kernel<<<static_cast<unsigned>((n + kThreads - 1) / kThreads), kThreads, 0, stream>>>(tables, weights, count,
                                                                                               n, out);
  return cudaGetLastError();
}

}  // namespace reelmend::cuda
