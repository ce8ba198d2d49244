// How CUDA launchers run a functor: a grid of threads, one an output pixel (or block of pixels).
#pragma once

#include <cuda_runtime.h>

#include "core/view.h"

namespace reelmend::cuda {

constexpr int kTileX = 32;
constexpr int kTileY = 8;

template <class F>
__global__ void __launch_bounds__(kTileX* kTileY) map_kernel(F f, int width, int height) {
  const int x = static_cast<int>(blockIdx.x * kTileX + threadIdx.x);
  const int y = static_cast<int>(blockIdx.y * kTileY + threadIdx.y);
  if (x < width && y < height) f(x, y);
}

// Calls f(x, y) for every x < width, y < height. Never synchronises; returns the launch's error.
template <class F>
cudaError_t map(F f, int width, int height, cudaStream_t stream) {
  const dim3 block(kTileX, kTileY);
  const dim3 grid(static_cast<unsigned>((width + kTileX - 1) / kTileX),
                  static_cast<unsigned>((height + kTileY - 1) / kTileY));
  map_kernel<<<grid, block, 0, stream>>>(f, width, height);
  return cudaGetLastError();
}

}  // namespace reelmend::cuda
