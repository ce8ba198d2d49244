// What all kernels share: strided views, the host/device marker, dither thresholds.
#pragma once

#include <cstdint>

#if defined(__CUDACC__)
#define RM_HD __host__ __device__ __forceinline__
#else
#define RM_HD inline __attribute__((always_inline))
#endif

namespace reelmend {

// A plane of samples. Strides count elements, not bytes, and stay in 32 bits: 64-bit index arithmetic
// keeps the compiler from vectorising, and 2^31 elements hold any frame up to 46340 x 46340.
template <class T>
struct Plane {
  T* data;
  int width;
  int height;
  int stride;  // from one row to the next
  int step;    // from one sample of a row to the next: 1 for planar, 3 for a channel of packed RGB

  RM_HD T& at(int x, int y) const { return data[y * stride + x * step]; }
  RM_HD T* row(int y) const { return data + y * stride; }
};

// Planes of one size, equally far apart in memory: an array (planes, height, width). The same 32 bits hold all of it.
template <class T>
struct Stack {
  Plane<T> first;
  int planes;
  int apart;  // from one plane to the next

  RM_HD T& at(int p, int x, int y) const { return first.data[p * apart + y * first.stride + x * first.step]; }
  RM_HD Plane<T> plane(int p) const {
    return {first.data + p * apart, first.width, first.height, first.stride, first.step};
  }
};

RM_HD int clamp_index(int i, int size) {
  return i < 0 ? 0 : (i < size ? i : size - 1);
}
RM_HD float min_f(float a, float b) {
  return b < a ? b : a;
}
RM_HD float max_f(float a, float b) {
  return a < b ? b : a;
}

// Threshold in (0, 1) of an 8x8 ordered (Bayer) dither: floor(v + threshold) keeps whole v as they are and gives
// a fraction f to f of the pixels. The recursive Bayer matrix is the bit-reversed interleave of x ^ y and y.
RM_HD float dither_threshold(int x, int y) {
  const int q = x ^ y;
  const int m = ((q & 1) << 5) | ((y & 1) << 4) | ((q & 2) << 2) | ((y & 2) << 1) | ((q & 4) >> 1) | ((y & 4) >> 2);
  return (static_cast<float>(m) + 0.5f) * (1.0f / 64.0f);
}

// A value to the nearest code, or to one of its two neighbours by the dither threshold.
RM_HD int to_code(float value, float threshold, float max_code) {
  return static_cast<int>(min_f(max_f(value + threshold, 0.0f), max_code));
}

}  // namespace reelmend
