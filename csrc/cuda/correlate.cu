#include "cuda/launch.cuh"
#include "cuda/ops.cuh"
#include "ops/correlate.h"

namespace reelmend::cuda {
namespace {

// One thread a pixel and shift: row y of the grid is row y % height of plane y / height.
struct Correlate {
  Stack<const float> a, b;
  int radius;
  Stack<float> out;

  __device__ void operator()(int x, int y) const {
    const int across = 2 * radius + 1;
    const int d = y / a.first.height;
    const int row = y % a.first.height;
    out.at(d, x, row) = correlation_at(a, b, x, row, d % across - radius, d / across - radius);
  }
};

}  // namespace

cudaError_t correlate(const Stack<const float>& a, const Stack<const float>& b, int radius, const Stack<float>& out,
                      cudaStream_t stream) {
  return cuda::map(Correlate{a, b, radius, out}, a.first.width, a.first.height * out.planes, stream);
}

}  // namespace reelmend::cuda
