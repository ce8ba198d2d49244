// What lives longer than a call on a GPU: streams, events, memory and recorded graphs, each freed with its owner.
#pragma once

#include <cuda_runtime.h>
#include <pybind11/pybind11.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "bindings/array.h"
#include "bindings/device.h"

namespace reelmend::bind {

inline int current_device() {
  int device = 0;
  check(cudaGetDevice(&device), "device");
  return device;
}

inline void set_device(int device) {
  check(cudaSetDevice(device), "device");
}

// The CUDA device of this thread, for as long as this lives.
class OnDevice {
 public:
  explicit OnDevice(int device) : before_(current_device()), moved_(device != before_) {
    if (moved_) set_device(device);
  }
  ~OnDevice() {
    if (moved_) cudaSetDevice(before_);
  }
  OnDevice(const OnDevice&) = delete;
  OnDevice& operator=(const OnDevice&) = delete;

 private:
  int before_;
  bool moved_;
};

inline void synchronise(std::uintptr_t stream) {
  cudaError_t status;
  {
    py::gil_scoped_release nogil;
    status = cudaStreamSynchronize(stream_at(stream));
  }
  check(status, "waiting for a stream");
}

// A stream that the legacy default stream does not hold up.
class Stream {
 public:
  explicit Stream(int device) : device(device) {
    const OnDevice here(device);
    check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "making a stream");
  }
  ~Stream() { cudaStreamDestroy(stream_); }  // what is queued on it still runs
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  std::uintptr_t handle() const { return reinterpret_cast<std::uintptr_t>(stream_); }

  const int device;

 private:
  cudaStream_t stream_ = nullptr;
};

class Event {
 public:
  explicit Event(bool timing) {
    check(cudaEventCreateWithFlags(&event_, timing ? cudaEventDefault : cudaEventDisableTiming), "making an event");
  }
  ~Event() { cudaEventDestroy(event_); }
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;

  void record(std::uintptr_t stream) { check(cudaEventRecord(event_, stream_at(stream)), "recording an event"); }
  void wait(std::uintptr_t stream) { check(cudaStreamWaitEvent(stream_at(stream), event_, 0), "waiting for an event"); }
  bool passed() const {
    const cudaError_t status = cudaEventQuery(event_);
    if (status == cudaErrorNotReady) {
      (void)cudaGetLastError();
      return false;
    }
    check(status, "asking for an event");
    return true;
  }
  double seconds_since(const Event& earlier) const {
    float ms = 0;
    check(cudaEventElapsedTime(&ms, earlier.event_, event_), "time between events");
    return 1e-3 * ms;
  }

 private:
  cudaEvent_t event_ = nullptr;
};

// Bytes on a GPU, aligned to 256.
class Memory {
 public:
  Memory(std::size_t bytes, int device) : bytes(bytes), device(device) {
    const OnDevice here(device);
    const std::string what = "taking " + std::to_string(bytes) + " bytes of GPU memory";
    check(cudaMalloc(&data_, bytes), what.c_str());
  }
  ~Memory() { cudaFree(data_); }
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;

  std::uintptr_t address() const { return reinterpret_cast<std::uintptr_t>(data_); }

  const std::size_t bytes;
  const int device;

 private:
  void* data_ = nullptr;
};

// Work that was recorded once and is launched as a whole.
class Graph {
 public:
  Graph(cudaGraph_t graph, std::size_t nodes) : nodes(nodes) {
    const cudaError_t made = cudaGraphInstantiate(&exec_, graph, 0);
    cudaGraphDestroy(graph);
    check(made, "making a graph");
  }
  ~Graph() { cudaGraphExecDestroy(exec_); }
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;

  void launch(std::uintptr_t stream) { check(cudaGraphLaunch(exec_, stream_at(stream)), "launching a graph"); }

  const std::size_t nodes;

 private:
  cudaGraphExec_t exec_ = nullptr;
};

// Of this thread alone: what other threads do meanwhile neither fails nor is recorded.
inline void capture_begin(std::uintptr_t stream) {
  if (stream <= 2) fail_device("recording a graph: the default stream cannot be recorded; give a stream of its own");
  check(cudaStreamBeginCapture(stream_at(stream), cudaStreamCaptureModeThreadLocal), "recording a graph");
}

inline std::unique_ptr<Graph> capture_end(std::uintptr_t stream) {
  cudaGraph_t graph = nullptr;
  check(cudaStreamEndCapture(stream_at(stream), &graph), "recording a graph");
  std::size_t nodes = 0;
  const cudaError_t counted = cudaGraphGetNodes(graph, nullptr, &nodes);
  if (counted != cudaSuccess || nodes == 0) {
    cudaGraphDestroy(graph);
    check(counted, "recording a graph");
    // The work went to another stream or device, and would be missing from every replay.
    fail_device("recording a graph: nothing was queued on the stream; queue all work on the stream that is given");
  }
  return std::make_unique<Graph>(graph, nodes);
}

// Ends a recording that failed, whatever state it is in.
inline void capture_drop(std::uintptr_t stream) {
  if (is_capturing(stream)) {
    cudaGraph_t graph = nullptr;
    if (cudaStreamEndCapture(stream_at(stream), &graph) == cudaSuccess && graph) cudaGraphDestroy(graph);
  }
  (void)cudaGetLastError();
}

// (address, stream that produced it or 0, device or -1 where CUDA does not know) of a float32 C-contiguous array.
inline std::tuple<std::uintptr_t, std::uintptr_t, int> locate(const py::object& x, const std::vector<int64_t>& shape,
                                                              const std::string& what, bool writable) {
  const Array a = take(x, Device::cuda, what, writable);
  check_table(a, DType::f32, shape, what);
  cudaPointerAttributes known{};
  int device = -1;
  if (cudaPointerGetAttributes(&known, a.data) != cudaSuccess) {
    (void)cudaGetLastError();
  } else if (known.type == cudaMemoryTypeDevice) {
    device = known.device;
  }
  return {reinterpret_cast<std::uintptr_t>(a.data), a.producer_stream, device};
}

inline int cuda_version() {
  int version = 0;
  check(cudaDriverGetVersion(&version), "cuda_version");
  return version;
}

inline void def_graph(py::module_& m) {
  using namespace py::literals;
  py::class_<Stream>(m, "Stream")
      .def(py::init<int>(), "device"_a = 0)
      .def_readonly("device", &Stream::device)
      .def_property_readonly("handle", &Stream::handle)
      .def("__cuda_stream__", [](const Stream& s) { return std::pair(0, s.handle()); })
      .def("synchronise", [](const Stream& s) { synchronise(s.handle()); });
  py::class_<Event>(m, "Event")
      .def(py::init<bool>(), "timing"_a = false)
      .def("record", &Event::record, "stream"_a)
      .def("wait", &Event::wait, "stream"_a)
      .def("passed", &Event::passed)
      .def("seconds_since", &Event::seconds_since, "earlier"_a);
  py::class_<Memory>(m, "Memory")
      .def(py::init<std::size_t, int>(), "bytes"_a, "device"_a = 0)
      .def_readonly("bytes", &Memory::bytes)
      .def_readonly("device", &Memory::device)
      .def_property_readonly("address", &Memory::address);
  py::class_<Graph>(m, "Graph").def_readonly("nodes", &Graph::nodes).def("launch", &Graph::launch, "stream"_a);
  m.def("capture_begin", &capture_begin, "stream"_a);
  m.def("capture_end", &capture_end, "stream"_a);
  m.def("capture_drop", &capture_drop, "stream"_a);
  m.def("is_capturing", &is_capturing, "stream"_a);
  m.def("synchronise", &synchronise, "stream"_a);
  m.def(
      "order", [](std::uintptr_t earlier, std::uintptr_t later) { order(earlier, later, "ordering two streams"); },
      "earlier"_a, "later"_a);
  m.def("locate", &locate, "x"_a, "shape"_a, "what"_a, "writable"_a);
  m.def("current_device", &current_device);
  m.def("set_device", &set_device, "device"_a);
  m.def("cuda_version", &cuda_version);
}

}  // namespace reelmend::bind
