// reelmend._cuda: the CUDA launchers. Links cudart statically and nothing of the driver, so it imports anywhere.
#include <cuda_runtime.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <initializer_list>
#include <limits>
#include <string>

#include "bindings/calls.h"
#include "bindings/device.h"
#include "bindings/graph.h"
#include "cuda/ops.cuh"

namespace reelmend::bind {
namespace {

struct CudaLaunchers {
  static constexpr Device kDevice = Device::cuda;
  using StreamArg = std::uintptr_t;

  // What surrounds launches: our stream waits for the streams that produced the inputs, and the GIL is released.
  class Scope {
   public:
    Scope(StreamArg stream, std::initializer_list<const std::vector<Array>*> arrays) : stream_(stream_at(stream)) {
      for (const auto* group : arrays) {
        for (const Array& a : *group) {
          if (a.producer_stream != 0) order(a.producer_stream, stream, "waiting for the array's stream");
        }
      }
    }
    cudaStream_t stream() const { return stream_; }

   private:
    cudaStream_t stream_;
  };

  // Launching takes microseconds and does not wait for the GPU, so the GIL is held for it: checks come first.
#define RM_LAUNCH(name)                                              \
  template <class... A>                                              \
  static void name(Scope& scope, A&&... a) {                         \
    check(cuda::name(std::forward<A>(a)..., scope.stream()), #name); \
  }
  RM_LAUNCH(yuv_to_rgb)
  RM_LAUNCH(rgb_to_yuv)
  RM_LAUNCH(histogram_rgb)
  RM_LAUNCH(histogram_yuv)
  RM_LAUNCH(quantiles)
  RM_LAUNCH(smooth)
  RM_LAUNCH(apply_lut)
  RM_LAUNCH(map_tones)
  RM_LAUNCH(map_tones_rgb)
  RM_LAUNCH(map_tones_gray)
  RM_LAUNCH(exposure_yuv)
  RM_LAUNCH(exposure_rgb)
  RM_LAUNCH(area_mean)
  RM_LAUNCH(resize)
  RM_LAUNCH(warp)
  RM_LAUNCH(warp_blend)
  RM_LAUNCH(warp_shrunk)
  RM_LAUNCH(sharpen)
  RM_LAUNCH(consistency)
  RM_LAUNCH(flows_at)
  RM_LAUNCH(median_flow)
  RM_LAUNCH(bilateral_flow)
  RM_LAUNCH(compose)
  RM_LAUNCH(trace)
  RM_LAUNCH(overlay)
  RM_LAUNCH(lay_over)
  RM_LAUNCH(adaptive_warp)
  RM_LAUNCH(correlate)
  RM_LAUNCH(block_copy)
  RM_LAUNCH(block_halve)
  RM_LAUNCH(block_search)
  RM_LAUNCH(block_spread)
  RM_LAUNCH(block_fractions)
  RM_LAUNCH(dense_level)
  RM_LAUNCH(splat)
  RM_LAUNCH(project_flow)
#undef RM_LAUNCH

  template <class T>
  static int64_t splat_words(int width, int height, int count, Splat mode, int workers) {
    return cuda::splat_words<T>(width, height, count, mode, workers);
  }
  static int64_t project_words(int width, int height, bool weighted, int workers) {
    return cuda::project_words(width, height, weighted, workers);
  }
  static int workers() { return 1; }
};

int device_count() {
  int n = 0;
  return cudaGetDeviceCount(&n) == cudaSuccess ? n : 0;
}

std::string why_not() {
  int n = 0;
  const cudaError_t status = cudaGetDeviceCount(&n);
  if (status != cudaSuccess) return cudaGetErrorString(status);
  return n ? "" : "no CUDA device";
}

py::dict device_info(int index) {
  cudaDeviceProp p;
  check(cudaGetDeviceProperties(&p, index), "device_info");
  py::dict d;
  d["name"] = std::string(p.name);
  d["compute_capability"] = std::to_string(p.major) + "." + std::to_string(p.minor);
  d["memory"] = static_cast<std::uint64_t>(p.totalGlobalMem);
  d["l2_cache"] = p.l2CacheSize;  // bytes, as memory
  return d;
}

void zero(const py::object& x, std::uintptr_t stream) {
  const Array a = take(x, Device::cuda, "out", true);
  check_table(a, DType::i32, a.shape, "out");
  check(cudaMemsetAsync(a.data, 0, sizeof(int) * static_cast<size_t>(a.size()), stream_at(stream)), "zero");
}

}  // namespace
}  // namespace reelmend::bind

PYBIND11_MODULE(_cuda, m, pybind11::mod_gil_not_used()) {
  m.doc() = "Reelmend's pixel operations on a CUDA GPU. Use reelmend.ops.";
  reelmend::bind::def_calls<reelmend::bind::CudaLaunchers>(m);
  reelmend::bind::def_graph(m);
  m.def("zero", &reelmend::bind::zero);
  m.def("device_count", &reelmend::bind::device_count);
  m.def("why_not", &reelmend::bind::why_not);
  m.def("device_info", &reelmend::bind::device_info);
  m.attr("architectures") = REELMEND_CUDA_ARCHITECTURE_LIST;
}
