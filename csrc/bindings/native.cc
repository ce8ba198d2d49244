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

  template <class... A>
  static void yuv_to_rgb(Scope&, A&&... a) {
    cpu::yuv_to_rgb(std::forward<A>(a)...);
  }
  template <class... A>
  static void rgb_to_yuv(Scope&, A&&... a) {
    cpu::rgb_to_yuv(std::forward<A>(a)...);
  }
  template <class... A>
  static void histogram_rgb(Scope&, A&&... a) {
    cpu::histogram_rgb(std::forward<A>(a)...);
  }
  template <class... A>
  static void histogram_yuv(Scope&, A&&... a) {
    cpu::histogram_yuv(std::forward<A>(a)...);
  }
  template <class... A>
  static void quantiles(Scope&, A&&... a) {
    cpu::quantiles(std::forward<A>(a)...);
  }
  template <class... A>
  static void smooth(Scope&, A&&... a) {
    cpu::smooth(std::forward<A>(a)...);
  }
  template <class... A>
  static void apply_lut(Scope&, A&&... a) {
    cpu::apply_lut(std::forward<A>(a)...);
  }
  template <class... A>
  static void map_tones(Scope&, A&&... a) {
    cpu::map_tones(std::forward<A>(a)...);
  }
  template <class... A>
  static void map_tones_rgb(Scope&, A&&... a) {
    cpu::map_tones_rgb(std::forward<A>(a)...);
  }
  template <class... A>
  static void map_tones_gray(Scope&, A&&... a) {
    cpu::map_tones_gray(std::forward<A>(a)...);
  }
  template <class... A>
  static void exposure_yuv(Scope&, A&&... a) {
    cpu::exposure_yuv(std::forward<A>(a)...);
  }
  template <class... A>
  static void exposure_rgb(Scope&, A&&... a) {
    cpu::exposure_rgb(std::forward<A>(a)...);
  }
  template <class... A>
  static void area_mean(Scope&, A&&... a) {
    cpu::area_mean(std::forward<A>(a)...);
  }
  template <class... A>
  static void resize(Scope&, A&&... a) {
    cpu::resize(std::forward<A>(a)...);
  }
  template <class... A>
  static void warp(Scope&, A&&... a) {
    cpu::warp(std::forward<A>(a)...);
  }
  template <class... A>
  static void warp_blend(Scope&, A&&... a) {
    cpu::warp_blend(std::forward<A>(a)...);
  }
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
