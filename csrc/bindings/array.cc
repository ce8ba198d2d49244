#include "bindings/array.h"

#include <limits>
#include <memory>

namespace reelmend::bind {
namespace {

// The parts of DLPack 1.x that are read here (dmlc/dlpack, include/dlpack/dlpack.h; a stable C ABI).
struct DLDevice {
  int32_t device_type;
  int32_t device_id;
};
struct DLDataType {
  uint8_t code;
  uint8_t bits;
  uint16_t lanes;
};
struct DLTensor {
  void* data;
  DLDevice device;
  int32_t ndim;
  DLDataType dtype;
  int64_t* shape;
  int64_t* strides;
  uint64_t byte_offset;
};
struct DLManagedTensor {
  DLTensor dl_tensor;
  void* manager_ctx;
  void (*deleter)(DLManagedTensor*);
};
constexpr int32_t kDLCPU = 1, kDLCUDA = 2, kDLCUDAHost = 3, kDLCUDAManaged = 13;

DType dtype_from(char kind, int64_t bytes) {
  if (kind == 'u' && bytes == 1) return DType::u8;
  if (kind == 'u' && bytes == 2) return DType::u16;
  if (kind == 'i' && bytes == 4) return DType::i32;
  if (kind == 'f' && bytes == 2) return DType::f16;
  if (kind == 'f' && bytes == 4) return DType::f32;
  return DType::other;
}

std::vector<int64_t> contiguous(const std::vector<int64_t>& shape) {
  std::vector<int64_t> strides(shape.size());
  int64_t step = 1;
  for (size_t i = shape.size(); i-- > 0;) {
    strides[i] = step;
    step *= shape[i];
  }
  return strides;
}

void set_byte_strides(Array& a, const std::vector<int64_t>& bytes, int64_t item, const std::string& what) {
  for (const int64_t b : bytes) {
    if (b % item) fail(what + ": strides must be whole samples; got " + std::to_string(b) + " bytes");
    a.strides.push_back(b / item);
  }
}

Array take_buffer(const py::object& obj, const std::string& what, bool writable) {
  auto view = std::make_unique<Py_buffer>();
  const int flags = PyBUF_STRIDES | PyBUF_FORMAT | (writable ? PyBUF_WRITABLE : 0);
  if (PyObject_GetBuffer(obj.ptr(), view.get(), flags) != 0) {
    PyErr_Clear();
    fail(what + (writable ? ": the array is read-only or not an array of numbers; a writable one is needed"
                          : ": not an array of numbers"));
  }
  Array a;
  Py_buffer* const raw = view.release();
  a.owner = py::capsule(raw, [](void* p) {
    auto* b = static_cast<Py_buffer*>(p);
    PyBuffer_Release(b);
    delete b;
  });
  a.data = raw->buf;
  a.read_only = raw->readonly;
  a.shape.assign(raw->shape, raw->shape + raw->ndim);
  std::string format = raw->format ? raw->format : "B";
  if (!format.empty() && (format[0] == '<' || format[0] == '=' || format[0] == '@')) format.erase(0, 1);
  if (format.size() == 1) {
    const char c = format[0];
    const char kind = c == 'B' || c == 'H' ? 'u' : (c == 'i' || c == 'l' ? 'i' : (c == 'f' || c == 'e' ? 'f' : '?'));
    a.dtype = dtype_from(kind, raw->itemsize);
  }
  set_byte_strides(a, {raw->strides, raw->strides + raw->ndim}, raw->itemsize, what);
  return a;
}

Array take_cuda_interface(const py::object& obj, const std::string& what, bool writable) {
  const py::dict d = obj.attr("__cuda_array_interface__");
  Array a;
  const py::tuple data = d["data"];
  a.data = reinterpret_cast<void*>(data[0].cast<std::uintptr_t>());
  a.read_only = data[1].cast<bool>();
  if (writable && a.read_only) fail(what + ": the array is read-only; a writable one is needed");
  const auto type = d["typestr"].cast<std::string>();
  const int64_t item = std::stoll(type.substr(2));
  if (type[0] != '>') a.dtype = dtype_from(type[1], item);
  for (const auto& s : d["shape"]) a.shape.push_back(s.cast<int64_t>());
  if (d.contains("strides") && !d["strides"].is_none()) {
    std::vector<int64_t> bytes;
    for (const auto& s : d["strides"]) bytes.push_back(s.cast<int64_t>());
    set_byte_strides(a, bytes, item, what);
  } else {
    a.strides = contiguous(a.shape);
  }
  if (d.contains("stream") && !d["stream"].is_none()) a.producer_stream = d["stream"].cast<std::uintptr_t>();
  a.owner = obj;
  return a;
}

Array take_dlpack(const py::object& obj, Device device, const std::string& what) {
  const auto where = obj.attr("__dlpack_device__")().cast<std::pair<int32_t, int32_t>>();
  const bool on_gpu = where.first == kDLCUDA || where.first == kDLCUDAManaged;
  const bool on_host = where.first == kDLCPU || where.first == kDLCUDAHost;
  if (device == Device::host ? !on_host : !on_gpu) {
    fail(what + ": the array is on " +
         (on_gpu    ? "a GPU"
          : on_host ? "the host"
                    : "another kind of device") +
         ", expected one on " + (device == Device::host ? "the host" : "a CUDA GPU"));
  }
  // stream=1: the producer makes its work visible to the legacy default stream, which the launch then waits for by an
  // event, whatever stream that is on (bindings/cuda.cc).
  constexpr int kLegacy = 1;
  py::capsule capsule = device == Device::host ? py::capsule(obj.attr("__dlpack__")())
                                               : py::capsule(obj.attr("__dlpack__")(py::arg("stream") = kLegacy));
  auto* managed = static_cast<DLManagedTensor*>(PyCapsule_GetPointer(capsule.ptr(), "dltensor"));
  if (!managed) throw py::error_already_set();
  PyCapsule_SetName(capsule.ptr(), "used_dltensor");
  Array a;
  if (device == Device::cuda) a.producer_stream = kLegacy;
  a.owner = py::capsule(managed, [](void* p) {
    auto* m = static_cast<DLManagedTensor*>(p);
    if (m->deleter) m->deleter(m);
  });
  const DLTensor& t = managed->dl_tensor;
  a.data = static_cast<char*>(t.data) + t.byte_offset;
  a.shape.assign(t.shape, t.shape + t.ndim);
  if (t.strides) {
    a.strides.assign(t.strides, t.strides + t.ndim);
  } else {
    a.strides = contiguous(a.shape);
  }
  constexpr char kinds[] = {'i', 'u', 'f'};
  if (t.dtype.lanes == 1 && t.dtype.code < 3) a.dtype = dtype_from(kinds[t.dtype.code], t.dtype.bits / 8);
  return a;
}

}  // namespace

std::string text(const std::vector<int64_t>& shape) {
  std::string s = "(";
  for (size_t i = 0; i < shape.size(); ++i) s += (i ? ", " : "") + std::to_string(shape[i]);
  return s + ")";
}

void fail(const std::string& message) {
  const py::object error = py::module_::import("reelmend.errors").attr("ArrayError");
  PyErr_SetString(error.ptr(), message.c_str());
  throw py::error_already_set();
}

Array take(const py::object& obj, Device device, const std::string& what, bool writable) {
  if (device == Device::cuda && py::hasattr(obj, "__cuda_array_interface__")) {
    return take_cuda_interface(obj, what, writable);
  }
  if (device == Device::host && PyObject_CheckBuffer(obj.ptr())) return take_buffer(obj, what, writable);
  if (py::hasattr(obj, "__dlpack__")) return take_dlpack(obj, device, what);
  fail(what + ": expected an array " +
       (device == Device::host ? "(buffer protocol or __dlpack__)"
                               : "on a GPU (__cuda_array_interface__ or __dlpack__)") +
       "; got " + py::str(py::type::of(obj)).cast<std::string>());
}

const char* name_of(DType t) {
  switch (t) {
    case DType::u8:
      return "uint8";
    case DType::u16:
      return "uint16";
    case DType::i32:
      return "int32";
    case DType::f16:
      return "float16";
    case DType::f32:
      return "float32";
    default:
      return "another dtype";
  }
}

void check_plane(const Array& a, DType dtype, const std::string& what) {
  if (a.shape.size() != 2) fail(what + ": expected a plane of shape (height, width); got " + text(a.shape));
  if (a.dtype != dtype) fail(what + ": expected " + name_of(dtype) + "; got " + name_of(a.dtype));
  int64_t reach = 0;
  for (int i = 0; i < 2; ++i) {
    if (a.shape[i] < 1) fail(what + ": an empty plane, shape " + text(a.shape));
    const int64_t s = a.strides[i] < 0 ? -a.strides[i] : a.strides[i];
    reach += s * (a.shape[i] - 1);
  }
  if (reach > std::numeric_limits<int32_t>::max() - 4) fail(what + ": a plane this large is not supported");
}

void check_table(const Array& a, DType dtype, const std::vector<int64_t>& shape, const std::string& what) {
  if (a.shape != shape) fail(what + ": expected shape " + text(shape) + "; got " + text(a.shape));
  if (a.dtype != dtype) fail(what + ": expected " + name_of(dtype) + "; got " + name_of(a.dtype));
  int64_t step = 1;
  for (size_t i = shape.size(); i-- > 0;) {
    if (shape[i] > 1 && a.strides[i] != step) fail(what + ": expected a C-contiguous array");
    step *= shape[i];
  }
}

}  // namespace reelmend::bind
