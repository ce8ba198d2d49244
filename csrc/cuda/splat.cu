#include "cuda/ops.cuh"
#include "cuda/scatter.cuh"
#include "ops/splat.h"

namespace reelmend::cuda {
namespace {

template <class C, class T>
struct LoadPlanes {
  Plane<const T> in[C::kPlanes];

  __device__ void operator()(int x, int y, uint32_t* values) const {
    for (int p = 0; p < C::kPlanes; ++p) values[p] = fixed_of<T>(in[p].at(x, y));
  }
};

template <class C, class T>
struct StoreMeans {
  Sums sums;
  float max_code;
  Plane<T> out[C::kPlanes];
  Plane<float> coverage;

  __device__ void operator()(int x, int y) const {
    const uint64_t* const cell = sums.cells + (static_cast<int64_t>(y) * sums.width + x) * C::kSums;
    for (int p = 0; p < C::kPlanes; ++p) out[p].at(x, y) = to_sample<T>(mean_of<C, T>(cell, p), max_code);
    coverage.at(x, y) = coverage_of<C>(cell);
  }
};

}  // namespace

template <class T>
int64_t splat_words(int width, int height, int count, Splat mode, int) {
  const int64_t places = static_cast<int64_t>(width) * height;
  return with_splat<T>(mode, count, [&](auto cell, auto) {
    return cell_words<decltype(cell)>(width, height) + (mode == Splat::average ? 0 : places);
  });
}

template <class T>
cudaError_t splat(const Plane<const T>* in, int count, const Flow& flow, Splat mode, const Plane<const float>& metric,
                  float max_code, const Plane<T>* out, const Plane<float>& coverage, int* scratch, int64_t,
                  cudaStream_t stream) {
  return with_splat<T>(mode, count, [&](auto cell, auto m) {
    using C = decltype(cell);
    const Sums sums = sums_of<C>(coverage.width, coverage.height, scratch);
    LoadPlanes<C, T> load;
    StoreMeans<C, T> store{sums, max_code, {}, coverage};
    for (int p = 0; p < C::kPlanes; ++p) {
      load.in[p] = in[p];
      store.out[p] = out[p];
    }
    constexpr Splat kMode = decltype(m)::kValue;
    cudaError_t status = cudaSuccess;
    if constexpr (kMode != Splat::average) {
      const size_t places = static_cast<size_t>(sums.width) * static_cast<size_t>(sums.height);
      status = cudaMemsetAsync(sums.most, kLeastByte, places * sizeof(int), stream);
      if (status != cudaSuccess) return status;
      status = cuda::map(RaiseMost<kMode, Tent>{flow, metric, sums}, sums.width, sums.height, stream);
      if (status != cudaSuccess) return status;
    }
    status = scatter<C, kMode, Tent>(flow, metric, sums, load, stream);
    if (status != cudaSuccess) return status;
    return cuda::map(store, coverage.width, coverage.height, stream);
  });
}

#define RM_SPLAT(T)                                                                                               \
  template int64_t splat_words<T>(int, int, int, Splat, int);                                                     \
  template cudaError_t splat<T>(const Plane<const T>*, int, const Flow&, Splat, const Plane<const float>&, float, \
                                const Plane<T>*, const Plane<float>&, int*, int64_t, cudaStream_t);
RM_SPLAT(uint8_t)
RM_SPLAT(uint16_t)
RM_SPLAT(float)

}  // namespace reelmend::cuda
