// Backward warping: out(x, y) = in(x + u, y + v), and two warps blended.
//
// Coordinates. Pixel centres lie at integers; u points right, v down, in pixels. A displacement is split into whole
// pixels and a fraction before it meets the pixel's own coordinate. So the fraction does not lose bits to the
// coordinate (fp32 holds 1 / 256 of a pixel at 46340), and a constant flow samples alike everywhere.
//
// An axis of a sample is a window of `kTaps` neighbours that lies inside the picture, and their weights; what border
// rules do is in the weights alone. So a kernel reads a row of neighbours at once and never tests for a border:
//   edge     samples outside are those at the edge (np.pad "edge")
//   zeros    they are 0 (np.pad "constant")
//   reflect  they are mirrored, the edge not repeated (np.pad "reflect")
// Where the axis is shorter than the window, the rest of the weights are 0.
#pragma once

#include <cmath>

#include "core/view.h"

namespace reelmend {

enum class Border { edge, zeros, reflect };
enum class Filter { bilinear, bicubic };

constexpr float kFarthest = 1048576.0f;  // pixels; with sides up to kMaxSide all indices are exact in fp32
constexpr int kMaxSide = 65536;

struct Shift {
  int whole;
  float part;  // 0..1
};

// NaN and infinity move nothing.
RM_HD Shift shift_of(float flow, float scale) {
  const float finite = flow - flow == 0.0f ? flow : 0.0f;
  const float d = min_f(max_f(finite * scale, -kFarthest), kFarthest);
  const float whole = floorf(d);
  return {static_cast<int>(whole), d - whole};
}

struct WarpAxis {
  int size;
  int last;     // the last place of a window
  int period;   // of the mirrored picture
  float room;   // 1 where there is a second sample, else 0
};

RM_HD WarpAxis warp_axis(int size, int taps) {
  return {size, size > taps ? size - taps : 0, size > 1 ? 2 * (size - 1) : 1, size > 1 ? 1.0f : 0.0f};
}

RM_HD int mirrored(const WarpAxis& a, int i) {
  const int turns = static_cast<int>(floorf(static_cast<float>(i) / static_cast<float>(a.period)));
  const int within = i - turns * a.period;
  const int back = a.period - within;
  return within < back ? within : back;
}

RM_HD int lesser(int a, int b) {
  return a < b ? a : b;
}

// Two samples, at and at + 1.
struct Taps2 {
  int at;
  float near, far;
};

template <Border kBorder>
RM_HD Taps2 linear_taps(const WarpAxis& a, int x, Shift s) {
  const int i = x + s.whole;
  if constexpr (kBorder == Border::reflect) {
    const int one = mirrored(a, i);
    const int two = mirrored(a, i + 1);
    const float part = s.part * a.room;
    return {lesser(lesser(one, two), a.last), two < one ? part : 1.0f - part, two < one ? 1.0f - part : part};
  }
  const int at = clamp_index(i, a.last + 1);
  const float p = static_cast<float>(i - at) + s.part;
  if constexpr (kBorder == Border::zeros) {
    return {at, max_f(1.0f - fabsf(p), 0.0f), max_f(1.0f - fabsf(p - 1.0f), 0.0f) * a.room};
  }
  const float far = min_f(max_f(p, 0.0f), a.room);
  return {at, 1.0f - far, far};
}

// Four samples, at .. at + 3.
struct Taps4 {
  int at;
  float w[4];
};

// Catmull-Rom: Keys' cubic convolution with a = -1/2 (IEEE Trans. ASSP 29, 1981); f from the second of four samples.
// Whole positions give the sample itself.
RM_HD void cubic_weights(float f, float* w) {
  w[0] = ((-0.5f * f + 1.0f) * f - 0.5f) * f;
  w[1] = (1.5f * f - 2.5f) * f * f + 1.0f;
  w[2] = ((-1.5f * f + 2.0f) * f + 0.5f) * f;
  w[3] = (0.5f * f - 0.5f) * f * f;
}

template <Border kBorder>
RM_HD Taps4 cubic_taps(const WarpAxis& a, int x, Shift s) {
  float c[4];
  cubic_weights(s.part, c);
  int index[4];
  for (int k = 0; k < 4; ++k) {
    const int i = x + s.whole + k - 1;
    if constexpr (kBorder == Border::edge) index[k] = clamp_index(i, a.size);
    if constexpr (kBorder == Border::zeros) index[k] = i < a.size ? i : -1;
    if constexpr (kBorder == Border::reflect) index[k] = mirrored(a, i);
  }
  Taps4 t;
  if constexpr (kBorder == Border::reflect) {
    t.at = lesser(lesser(lesser(index[0], index[1]), lesser(index[2], index[3])), a.last);
  } else {
    t.at = clamp_index(x + s.whole - 1, a.last + 1);
  }
  for (int k = 0; k < 4; ++k) {
    float w = 0.0f;
    for (int j = 0; j < 4; ++j) w += index[j] == t.at + k ? c[j] : 0.0f;
    t.w[k] = w;
  }
  return t;
}

RM_HD float mix2(float wa, float a, float wb, float b) {
  return wa * a + wb * b;
}

RM_HD float mix4(const float* w, float a, float b, float c, float d) {
  return (w[0] * a + w[1] * b) + (w[2] * c + w[3] * d);
}

RM_HD float blend(float weight, float a, float b) {
  return weight * a + (1.0f - weight) * b;
}

// Rows (columns) from the first of a window to the k-th, where the axis has as many.
RM_HD int window_offset(int k, int size, int stride) {
  return lesser(k, size - 1) * stride;
}

// One sample, for the GPU.
template <class T, Filter kFilter, Border kBorder>
RM_HD float sample_at(const Plane<const T>& in, int x, int y, Shift u, Shift v) {
  constexpr int kTaps = kFilter == Filter::bilinear ? 2 : 4;
  const WarpAxis ax = warp_axis(in.width, kTaps);
  const WarpAxis ay = warp_axis(in.height, kTaps);
  if constexpr (kFilter == Filter::bilinear) {
    const Taps2 tx = linear_taps<kBorder>(ax, x, u);
    const Taps2 ty = linear_taps<kBorder>(ay, y, v);
    const T* const p = &in.at(tx.at, ty.at);
    const int right = window_offset(1, in.width, in.step);
    const int down = window_offset(1, in.height, in.stride);
    const float top = mix2(tx.near, static_cast<float>(p[0]), tx.far, static_cast<float>(p[right]));
    const float bottom = mix2(tx.near, static_cast<float>(p[down]), tx.far, static_cast<float>(p[down + right]));
    return mix2(ty.near, top, ty.far, bottom);
  } else {
    const Taps4 tx = cubic_taps<kBorder>(ax, x, u);
    const Taps4 ty = cubic_taps<kBorder>(ay, y, v);
    float row[4];
    for (int j = 0; j < 4; ++j) {
      const T* const p = &in.at(tx.at, ty.at) + window_offset(j, in.height, in.stride);
      row[j] = mix4(tx.w, static_cast<float>(p[0]), static_cast<float>(p[window_offset(1, in.width, in.step)]),
                    static_cast<float>(p[window_offset(2, in.width, in.step)]),
                    static_cast<float>(p[window_offset(3, in.width, in.step)]));
    }
    return mix4(ty.w, row[0], row[1], row[2], row[3]);
  }
}

// What all of a call's planes share. `map`, if its data are not null, holds a weight for each pixel.
struct Flow {
  Plane<const float> u, v;
  float scale;
};
struct Weight {
  Plane<const float> map;
  float value;
};
struct Sampler {
  Filter filter;
  Border border;
};

constexpr int kMaxPlanes = 4;

// Calls f with an object whose kFilter and kBorder are the sampler's.
template <Filter F, Border B>
struct SamplerOf {
  static constexpr Filter kFilter = F;
  static constexpr Border kBorder = B;
};
template <class F>
auto with_sampler(Sampler s, const F& f) {
  constexpr Filter two = Filter::bilinear, four = Filter::bicubic;
  constexpr Border edge = Border::edge, zeros = Border::zeros, reflect = Border::reflect;
  if (s.filter == two) {
    if (s.border == edge) return f(SamplerOf<two, edge>{});
    if (s.border == zeros) return f(SamplerOf<two, zeros>{});
    return f(SamplerOf<two, reflect>{});
  }
  if (s.border == edge) return f(SamplerOf<four, edge>{});
  if (s.border == zeros) return f(SamplerOf<four, zeros>{});
  return f(SamplerOf<four, reflect>{});
}

}  // namespace reelmend
