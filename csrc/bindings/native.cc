// reelmend._native: the CPU launchers.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <initializer_list>
#include <limits>

#include "bindings/calls.h"
#include "cpu/pool.h"

namespace reelmend::bind {
namespace {

struct CpuLaunchers {
  static constexpr Device kDevice = Device::host;
  using StreamArg = py::none;  // the CPU has no streams; the argument keeps both modules' calls alike

  struct Scope {
    Scope(const StreamArg&, std::initializer_list<const std::vector<Array>*>) {}
    py::gil_scoped_release released;
  };

#define RM_LAUNCH(name)                \
  template <class... A>                \
  static void name(Scope&, A&&... a) { \
    cpu::name(std::forward<A>(a)...);  \
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
    return cpu::splat_words<T>(width, height, count, mode, workers);
  }
  static int64_t project_words(int width, int height, bool weighted, int workers) {
    return cpu::project_words(width, height, weighted, workers);
  }
  static int workers() { return cpu::threads(); }
};

// The x86-64 level whose clones the loader picked.
const char* variant() {
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("x86-64-v4")) return "x86-64-v4";
  if (__builtin_cpu_supports("x86-64-v3")) return "x86-64-v3";
  return "x86-64-v2";
#else
  return "generic";
#endif
}

}  // namespace
}  // namespace reelmend::bind

PYBIND11_MODULE(_native, m, pybind11::mod_gil_not_used()) {
  m.doc() = "Reelmend's pixel operations on the CPU. Use reelmend.ops.";
  reelmend::bind::def_calls<reelmend::bind::CpuLaunchers>(m);
  m.def("threads", &reelmend::cpu::threads);
  m.def("set_threads", &reelmend::cpu::set_threads);
  m.def("variant", &reelmend::bind::variant);
}
