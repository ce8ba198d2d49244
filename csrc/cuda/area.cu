#include "cuda/launch.cuh"
#include "cuda/ops.cuh"
#include "ops/area.h"

namespace reelmend::cuda {
namespace {

constexpr int kThreads = 128;

// A block a tile; integer sums, so the order does not matter.
template <class T>
__global__ void __launch_bounds__(kThreads) area_kernel(Plane<const T> in, int columns, int rows, float* out) {
  const int i = static_cast<int>(blockIdx.x);
  const int j = static_cast<int>(blockIdx.y);
  const int x0 = tile_begin(i, columns, in.width);
  const int y0 = tile_begin(j, rows, in.height);
  const int width = tile_begin(i + 1, columns, in.width) - x0;
  const int height = tile_begin(j + 1, rows, in.height) - y0;
  unsigned long long sum = 0;
  for (int k = static_cast<int>(threadIdx.x); k < width * height; k += kThreads) {
    sum += in.at(x0 + k % width, y0 + k / width);
  }
  __shared__ unsigned long long total;
  if (threadIdx.x == 0) total = 0;
  __syncthreads();
  for (int step = 16; step > 0; step /= 2) sum += __shfl_down_sync(0xffffffffu, sum, step);
  if (threadIdx.x % 32 == 0) atomicAdd(&total, sum);
  __syncthreads();
  if (threadIdx.x == 0) out[j * columns + i] = tile_mean(total, width * height);
}

}  // namespace

template <class T>
cudaError_t area_mean(const Plane<const T>& in, int columns, int rows, float* out, cudaStream_t stream) {
  const dim3 grid(static_cast<unsigned>(columns), static_cast<unsigned>(rows));
  area_kernel<T><<<grid, kThreads, 0, stream>>>(in, columns, rows, out);
  return cudaGetLastError();
}

template cudaError_t area_mean<uint8_t>(const Plane<const uint8_t>&, int, int, float*, cudaStream_t);
template cudaError_t area_mean<uint16_t>(const Plane<const uint16_t>&, int, int, float*, cudaStream_t);

}  // namespace reelmend::cuda
