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

// Whole pixels and what remains; floats, as all places are until memory is addressed.
struct Shift {
  float whole;
  float part;  // 0..1
};

// In this order GCC makes it two instructions; NaN gives `low`.
RM_HD float clamp_f(float v, float low, float high) {
  return min_f(high, max_f(low, v));
}

// NaN and infinity move nothing.
RM_HD Shift shift_of(float flow, float scale, float farthest = kFarthest) {
  const float finite = flow - flow == 0.0f ? flow : 0.0f;
  const float d = clamp_f(finite * scale, -farthest, farthest);
  const float whole = floorf(d);
  return {whole, d - whole};
}

// Bounds are members, 0 among them: GCC makes a clamp between variables two instructions, one to constants more.
struct WarpAxis {
  int size;
  float start;   // 0
  float end;     // the last sample
  float last;    // the last place of a window
  float period;  // of the mirrored picture
  float room;    // 1 where there is a second sample, else 0
};

RM_HD WarpAxis warp_axis(int size, int taps) {
  return {size,
          0.0f,
          static_cast<float>(size - 1),
          static_cast<float>(size > taps ? size - taps : 0),
          static_cast<float>(size > 1 ? 2 * (size - 1) : 1),
          size > 1 ? 1.0f : 0.0f};
}

RM_HD float mirrored(const WarpAxis& a, float place) {
  const float within = place - floorf(place / a.period) * a.period;
  return min_f(within, a.period - within);
}

// Two samples, at and at + 1, and what their weights follow from: where between them the place lies.
struct Taps2 {
  int at;
  float part;
};
struct Weights2 {
  float near, far;
};

template <Border kBorder>
RM_HD Taps2 linear_taps(const WarpAxis& a, float x, Shift s) {
  const float place = x + s.whole;
  if constexpr (kBorder == Border::reflect) {
    const float one = mirrored(a, place);
    const float two = mirrored(a, place + 1.0f);
    const float part = s.part * a.room;
    return {static_cast<int>(min_f(min_f(one, two), a.last)), two < one ? 1.0f - part : part};
  }
  const float at = clamp_f(place, a.start, a.last);
  const float p = (place - at) + s.part;
  if constexpr (kBorder == Border::zeros) return {static_cast<int>(at), p};
  return {static_cast<int>(at), clamp_f(p, a.start, a.room)};
}

template <Border kBorder>
RM_HD Weights2 linear_weights(float room, float part) {
  if constexpr (kBorder == Border::zeros) {
    return {max_f(1.0f - fabsf(part), 0.0f), max_f(1.0f - fabsf(part - 1.0f), 0.0f) * room};
  }
  return {1.0f - part, part};
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

// Where each of the four lies once the border rule has been applied; outside for zeros.
template <Border kBorder>
RM_HD float ruled(const WarpAxis& a, float place) {
  if constexpr (kBorder == Border::edge) return clamp_f(place, 0.0f, a.end);
  if constexpr (kBorder == Border::reflect) return mirrored(a, place);
  return place > a.end ? -1.0f : place;
}

template <Border kBorder>
RM_HD Taps4 cubic_taps(const WarpAxis& a, float x, Shift s) {
  float c[4];
  cubic_weights(s.part, c);
  const float first = x + s.whole - 1.0f;
  const float p0 = ruled<kBorder>(a, first);
  const float p1 = ruled<kBorder>(a, first + 1.0f);
  const float p2 = ruled<kBorder>(a, first + 2.0f);
  const float p3 = ruled<kBorder>(a, first + 3.0f);
  float at;
  if constexpr (kBorder == Border::reflect) {
    at = min_f(min_f(min_f(p0, p1), min_f(p2, p3)), a.last);
  } else {
    at = clamp_f(first, 0.0f, a.last);
  }
  Taps4 t;
  t.at = static_cast<int>(at);
  for (int k = 0; k < 4; ++k) {
    const float here = at + static_cast<float>(k);
    t.w[k] = ((p0 == here ? c[0] : 0.0f) + (p1 == here ? c[1] : 0.0f)) +
             ((p2 == here ? c[2] : 0.0f) + (p3 == here ? c[3] : 0.0f));
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
  return (k < size ? k : size - 1) * stride;
}

// One sample, for the GPU.
template <class T, Filter kFilter, Border kBorder>
RM_HD float sample_at(const Plane<const T>& in, int x, int y, Shift u, Shift v) {
  constexpr int kTaps = kFilter == Filter::bilinear ? 2 : 4;
  const WarpAxis ax = warp_axis(in.width, kTaps);
  const WarpAxis ay = warp_axis(in.height, kTaps);
  if constexpr (kFilter == Filter::bilinear) {
    const Taps2 px = linear_taps<kBorder>(ax, static_cast<float>(x), u);
    const Taps2 py = linear_taps<kBorder>(ay, static_cast<float>(y), v);
    const Weights2 tx = linear_weights<kBorder>(ax.room, px.part);
    const Weights2 ty = linear_weights<kBorder>(ay.room, py.part);
    const T* const p = &in.at(px.at, py.at);
    const int right = window_offset(1, in.width, in.step);
    const int down = window_offset(1, in.height, in.stride);
    const float top = mix2(tx.near, static_cast<float>(p[0]), tx.far, static_cast<float>(p[right]));
    const float bottom = mix2(tx.near, static_cast<float>(p[down]), tx.far, static_cast<float>(p[down + right]));
    return mix2(ty.near, top, ty.far, bottom);
  } else {
    const Taps4 tx = cubic_taps<kBorder>(ax, static_cast<float>(x), u);
    const Taps4 ty = cubic_taps<kBorder>(ay, static_cast<float>(y), v);
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
