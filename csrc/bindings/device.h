// What CUDA's runtime answers, as errors of this package.
#pragma once

#include <cuda_runtime.h>
#include <pybind11/pybind11.h>

#include <cstdint>
#include <string>

namespace reelmend::bind {

namespace py = pybind11;

[[noreturn]] inline void fail_device(const std::string& message) {
  const py::object error = py::module_::import("reelmend.errors").attr("DeviceError");
  PyErr_SetString(error.ptr(), message.c_str());
  throw py::error_already_set();
}

inline void check(cudaError_t status, const char* what) {
  if (status == cudaSuccess) return;
  (void)cudaGetLastError();  // or a later call that succeeds would be blamed for it
  fail_device(std::string(what) + ": CUDA says: " + cudaGetErrorString(status));
}

inline cudaStream_t stream_at(std::uintptr_t handle) {
  return reinterpret_cast<cudaStream_t>(handle);
}

// Whether what is queued on a stream is being recorded into a graph and not run.
inline bool is_capturing(std::uintptr_t stream) {
  cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
  if (cudaStreamIsCapturing(stream_at(stream), &status) != cudaSuccess) {
    (void)cudaGetLastError();
    return false;
  }
  return status != cudaStreamCaptureStatusNone;
}

// What is queued on `later` from now on runs after all that was queued on `earlier`. The host does not wait.
// A graph cannot depend on work outside of it: while `later` is captured, order to a stream that is not captured with
// it is kept by who launches the graph.
inline void order(std::uintptr_t earlier, std::uintptr_t later, const char* what) {
  if (earlier == later || (is_capturing(later) && !is_capturing(earlier))) return;
  cudaEvent_t event = nullptr;
  check(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), what);
  const cudaError_t recorded = cudaEventRecord(event, stream_at(earlier));
  const cudaError_t waited = recorded == cudaSuccess ? cudaStreamWaitEvent(stream_at(later), event, 0) : recorded;
  cudaEventDestroy(event);  // freed by the driver once the wait is over
  check(waited, what);
}

}  // namespace reelmend::bind
