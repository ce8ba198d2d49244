// Arrays of other libraries as plain views, without a copy: the buffer protocol and DLPack for memory of the host,
// __cuda_array_interface__ and DLPack for memory of a GPU. pybind11 knows NumPy only, hence this file.
#pragma once

#include <pybind11/pybind11.h>

#include <cstdint>
#include <string>
#include <vector>

#include "core/half.h"
#include "core/view.h"

namespace reelmend::bind {

namespace py = pybind11;

enum class DType { u8, u16, i32, f16, f32, other };
enum class Device { host, cuda };

// A borrowed array. Strides count elements. `owner` keeps the memory alive.
struct Array {
  void* data = nullptr;
  std::vector<int64_t> shape, strides;
  DType dtype = DType::other;
  bool read_only = false;
  std::uintptr_t producer_stream = 0;  // CUDA: the stream on which the data become valid; 0: none said
  py::object owner;

  int64_t size() const {
    int64_t n = 1;
    for (const int64_t s : shape) n *= s;
    return n;
  }
};

// Takes obj as an array on `device`. Raises ValueError or TypeError naming `what`.
Array take(const py::object& obj, Device device, const std::string& what, bool writable);

const char* name_of(DType t);
std::string text(const std::vector<int64_t>& shape);  // "(4, 6)"

[[noreturn]] void fail(const std::string& message);  // raises reelmend.errors.ArrayError

template <class T>
constexpr DType dtype_of();
template <>
constexpr DType dtype_of<uint8_t>() {
  return DType::u8;
}
template <>
constexpr DType dtype_of<uint16_t>() {
  return DType::u16;
}
template <>
constexpr DType dtype_of<int>() {
  return DType::i32;
}
template <>
constexpr DType dtype_of<Half>() {
  return DType::f16;
}
template <>
constexpr DType dtype_of<float>() {
  return DType::f32;
}

// Checks shared by all: a 2-D array of T whose offsets fit in 32 bits.
void check_plane(const Array& a, DType dtype, const std::string& what);

template <class T>
Plane<T> plane(const Array& a, const std::string& what) {
  check_plane(a, dtype_of<std::remove_const_t<T>>(), what);
  return {static_cast<T*>(a.data), static_cast<int>(a.shape[1]), static_cast<int>(a.shape[0]),
          static_cast<int>(a.strides[0]), static_cast<int>(a.strides[1])};
}

// A C-contiguous array of T with the given shape.
void check_table(const Array& a, DType dtype, const std::vector<int64_t>& shape, const std::string& what);

template <class T>
T* table(const Array& a, const std::vector<int64_t>& shape, const std::string& what) {
  check_table(a, dtype_of<std::remove_const_t<T>>(), shape, what);
  return static_cast<T*>(a.data);
}

}  // namespace reelmend::bind
