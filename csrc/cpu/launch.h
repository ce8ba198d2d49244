// How CPU launchers run a functor: rows on the pool, each row in chunks through short loops over floats.
//
// GCC vectorises a loop whose body is contiguous and branch-free, but neither table look-ups nor strided samples.
// So a chunk of a row is loaded to floats, worked on in place, looked up, and stored, each by a loop of its own; the
// buffers stay in the first-level cache. The arithmetic is the functor's (csrc/ops), as on the GPU.
#pragma once

#include <algorithm>
#include <cstring>

#include "core/view.h"
#include "cpu/pool.h"
#include "ops/color.h"

// One copy of the function for each x86-64 level, chosen once when the module is loaded. -ffp-contract=off keeps the
// copies equal to the bit.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && defined(__gnu_linux__)
#define RM_CLONES __attribute__((target_clones("default", "arch=x86-64-v3", "arch=x86-64-v4")))
#else
#define RM_CLONES
#endif

namespace reelmend::cpu {

constexpr int kChunk = 512;  // luma samples; even, so that chunks hold whole chroma samples

template <class T>
static RM_CLONES void load_row(const T* __restrict from, int step, float* __restrict to, int n) {
  if (step == 1) {
    for (int i = 0; i < n; ++i) to[i] = static_cast<float>(from[i]);
  } else {
    for (int i = 0; i < n; ++i) to[i] = static_cast<float>(from[i * step]);
  }
}

template <class T>
static RM_CLONES void store_row(const float* __restrict from, T* __restrict to, int step, float max_code, int n) {
  if (step == 1) {
    for (int i = 0; i < n; ++i) to[i] = to_sample<T>(from[i], max_code);
  } else {
    for (int i = 0; i < n; ++i) to[i * step] = to_sample<T>(from[i], max_code);
  }
}

// The same, rounded by dither thresholds given for each sample.
template <class T>
static RM_CLONES void store_row(const float* __restrict from, const float* __restrict thresholds, T* __restrict to,
                                int step, float max_code, int n) {
  if (step == 1) {
    for (int i = 0; i < n; ++i) to[i] = static_cast<T>(to_code(from[i], thresholds[i], max_code));
  } else {
    for (int i = 0; i < n; ++i) to[i * step] = static_cast<T>(to_code(from[i], thresholds[i], max_code));
  }
}

// Whether three planes are the channels of one packed array, and its rows: one loop over all three, so that the
// compiler sees whole vectors of samples.
template <class T>
bool is_packed(const Plane<T>& r, const Plane<T>& g, const Plane<T>& b) {
  return r.step == 3 && g.step == 3 && b.step == 3 && g.data == r.data + 1 && b.data == r.data + 2 &&
         g.stride == r.stride && b.stride == r.stride;
}

template <class T>
static RM_CLONES void load_packed(const T* __restrict from, float* __restrict r, float* __restrict g,
                                  float* __restrict b, int n) {
  for (int i = 0; i < n; ++i) {
    r[i] = static_cast<float>(from[3 * i]);
    g[i] = static_cast<float>(from[3 * i + 1]);
    b[i] = static_cast<float>(from[3 * i + 2]);
  }
}

template <class T>
static RM_CLONES void store_packed(const float* __restrict r, const float* __restrict g, const float* __restrict b,
                                   const float* __restrict thresholds, T* __restrict to, float max_code, int n) {
  for (int i = 0; i < n; ++i) {
    to[3 * i] = static_cast<T>(to_code(r[i], thresholds[i], max_code));
    to[3 * i + 1] = static_cast<T>(to_code(g[i], thresholds[i], max_code));
    to[3 * i + 2] = static_cast<T>(to_code(b[i], thresholds[i], max_code));
  }
}

// Dither thresholds of row y, kChunk of them from a column that is a multiple of 8 (the pattern's period); all 0.5,
// which rounds, where dither is off.
inline const float* threshold_row(int y, bool dither) {
  struct Table {
    float row[9][kChunk];
    Table() {
      for (int x = 0; x < kChunk; ++x) {
        for (int i = 0; i < 8; ++i) row[i][x] = dither_threshold(x & 7, i);
        row[8][x] = 0.5f;
      }
    }
  };
  static const Table table;
  return table.row[dither ? y & 7 : 8];
}

static RM_CLONES void lerp_rows(const float* __restrict b, float w, float* __restrict a, int n) {
  for (int i = 0; i < n; ++i) a[i] = lerp(a[i], b[i], w);
}

static RM_CLONES void widen_row(const float* __restrict c, float w0, float w1, float* __restrict to, int n) {
  for (int i = 0; i < n; ++i) {
    to[2 * i] = lerp(c[i], c[i - 1], w0);
    to[2 * i + 1] = lerp(c[i], c[i + 1], w1);
  }
}

// Chroma of luma samples x0 .. x0 + n of row y (x0 even), interpolated as chroma_at does. `to` holds n + 1 floats.
template <class T>
static void chroma_row(const Plane<const T>& c, const Siting& s, int x0, int y, int n, float* to) {
  const Tap ty = chroma_tap(y, s.sub_y, s.up_y, c.height);
  const int first = x0 >> s.sub_x;
  const int count = (n + s.sub_x) >> s.sub_x;
  const int left = s.sub_x && first > 0 ? 1 : 0;
  const int right = s.sub_x && first + count < c.width ? 1 : 0;
  float near[kChunk + 2];
  float far[kChunk + 2];
  float* const at = near + 1;
  load_row(c.row(ty.near) + (first - left) * c.step, c.step, at - left, count + left + right);
  if (ty.weight != 0.0f) {
    load_row(c.row(ty.far) + (first - left) * c.step, c.step, far, count + left + right);
    lerp_rows(far, ty.weight, at - left, count + left + right);
  }
  if (s.sub_x == 0) {
    std::memcpy(to, at, sizeof(float) * static_cast<size_t>(n));
    return;
  }
  if (!left) at[-1] = at[0];
  if (!right) at[count] = at[count - 1];
  widen_row(at, s.up_x[0], s.up_x[1], to, count);
}

static RM_CLONES void to_rgb_row(const YuvCoding c, const float* __restrict y, const float* __restrict u,
                                 const float* __restrict v, float* __restrict r, float* __restrict g,
                                 float* __restrict b, int n) {
  for (int i = 0; i < n; ++i) {
    const Rgb p = reelmend::yuv_to_rgb(c, y[i], u[i], v[i]);
    r[i] = p.r;
    g[i] = p.g;
    b[i] = p.b;
  }
}

}  // namespace reelmend::cpu
