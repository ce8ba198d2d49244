#include "cuda/launch.cuh"
#include "cuda/ops.cuh"

namespace reelmend::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kRowsPerBlock = 16;

template <class T>
struct RgbPixel {
  RgbPlanes<const T> in;
  __device__ Rgb operator()(int x, int y) const {
    return {static_cast<float>(in.r.at(x, y)), static_cast<float>(in.g.at(x, y)), static_cast<float>(in.b.at(x, y))};
  }
};

template <class T>
struct YuvPixel {
  Yuv<const T> in;
  YuvCoding coding;
  Siting siting;
  __device__ Rgb operator()(int x, int y) const {
    const int cx = x >> siting.sub_x;
    const int cy = y >> siting.sub_y;
    return reelmend::yuv_to_rgb(coding, static_cast<float>(in.y.at(x, y)), static_cast<float>(in.u.at(cx, cy)),
                                static_cast<float>(in.v.at(cx, cy)));
  }
};

// One block counts kRowsPerBlock sampled rows in shared memory (16 KiB at most), then adds them to the result.
// Counts are integers, so the order of the additions does not matter.
template <class F>
__global__ void __launch_bounds__(kThreads) count_kernel(F pixel, Sampling at, BinScale scale, int bins, int* counts) {
  extern __shared__ int local[];
  for (int i = static_cast<int>(threadIdx.x); i < kHistograms * bins; i += kThreads) local[i] = 0;
  __syncthreads();
  const int first = static_cast<int>(blockIdx.x) * kRowsPerBlock;
  const int last = min(first + kRowsPerBlock, at.rows());
  const int columns = at.columns();
  for (int row = first; row < last; ++row) {
    for (int i = static_cast<int>(threadIdx.x); i < columns; i += kThreads) {
      const Rgb p = pixel(at.x0 + i * at.skip, at.y0 + row * at.skip);
      const int r = bin_of(scale, p.r);
      const int g = bin_of(scale, p.g);
      const int b = bin_of(scale, p.b);
      atomicAdd(&local[r], 1);
      atomicAdd(&local[bins + g], 1);
      atomicAdd(&local[2 * bins + b], 1);
      atomicAdd(&local[3 * bins + max3(r, g, b)], 1);
    }
  }
  __syncthreads();
  for (int i = static_cast<int>(threadIdx.x); i < kHistograms * bins; i += kThreads) {
    if (local[i]) atomicAdd(&counts[i], local[i]);
  }
}

template <class F>
cudaError_t count(F pixel, const Sampling& at, float scale, int bins, int* counts, cudaStream_t stream) {
  const unsigned blocks = static_cast<unsigned>((at.rows() + kRowsPerBlock - 1) / kRowsPerBlock);
  const size_t shared = sizeof(int) * static_cast<size_t>(kHistograms * bins);
  count_kernel<<<blocks, kThreads, shared, stream>>>(pixel, at, BinScale{scale, static_cast<float>(bins - 1)}, bins,
                                                     counts);
  return cudaGetLastError();
}

}  // namespace

template <class T>
cudaError_t histogram_rgb(const RgbPlanes<const T>& in, float peak, const Sampling& at, int bins, int* counts,
                          cudaStream_t stream) {
  return count(RgbPixel<T>{in}, at, static_cast<float>(bins - 1) / peak, bins, counts, stream);
}

template <class T>
cudaError_t histogram_yuv(const Yuv<const T>& in, const YuvCoding& coding, const Siting& siting, const Sampling& at,
                          int bins, int* counts, cudaStream_t stream) {
  return count(YuvPixel<T>{in, coding, siting}, at, 1.0f, bins, counts, stream);
}

#define RM_HISTOGRAM(T)                                                                                              \
  template cudaError_t histogram_rgb<T>(const RgbPlanes<const T>&, float, const Sampling&, int, int*, cudaStream_t); \
  template cudaError_t histogram_yuv<T>(const Yuv<const T>&, const YuvCoding&, const Siting&, const Sampling&, int,  \
                                        int*, cudaStream_t);
RM_HISTOGRAM(uint8_t)
RM_HISTOGRAM(uint16_t)

}  // namespace reelmend::cuda
