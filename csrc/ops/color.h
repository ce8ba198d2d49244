// YCbCr <-> RGB, and where chroma samples sit.
//
// With R, G, B in 0..1 (non-linear, as coded):
//   Y  = Kr R + Kg G + Kb B,   Kg = 1 - Kr - Kb
//   Cb = (B - Y) / (2 (1 - Kb)),   Cr = (R - Y) / (2 (1 - Kr)),   both in -0.5..0.5
// and as codes of n bits (ITU-T H.273, 8.3):
//   limited range:  y = 2^(n-8) (219 Y + 16),  c = 2^(n-8) (224 C + 128)
//   full range:     y = (2^n - 1) Y,           c = (2^n - 1) C + 2^(n-1)
// Solving the first three for R, G, B gives the constants of YuvCoding.
#pragma once

#include "core/half.h"
#include "core/view.h"

namespace reelmend {

struct YuvCoding {
  float y_off, c_off;        // codes of black and of neutral chroma
  float y_gain;              // RGB (0..peak) for one luma code
  float r_v, g_u, g_v, b_u;  // RGB (0..peak) for one chroma code
  float kr, kg, kb;
  float y_span;          // luma codes for Y going from 0 to 1
  float u_span, v_span;  // chroma codes for B - Y and R - Y going from 0 to 1
  float max_code;
  float peak;  // the RGB value of white
};

inline YuvCoding make_coding(double kr, double kb, int depth, bool full_range, double peak) {
  const double kg = 1.0 - kr - kb;
  const double unit = static_cast<double>(1 << (depth - 8));
  const double max_code = static_cast<double>((1 << depth) - 1);
  const double y_range = full_range ? max_code : 219.0 * unit;
  const double c_range = full_range ? max_code : 224.0 * unit;
  const double u = 2.0 * (1.0 - kb);
  const double v = 2.0 * (1.0 - kr);
  YuvCoding c;
  c.y_off = static_cast<float>(full_range ? 0.0 : 16.0 * unit);
  c.c_off = static_cast<float>(128.0 * unit);
  c.y_gain = static_cast<float>(peak / y_range);
  c.r_v = static_cast<float>(peak * v / c_range);
  c.b_u = static_cast<float>(peak * u / c_range);
  c.g_u = static_cast<float>(-peak * u * kb / kg / c_range);
  c.g_v = static_cast<float>(-peak * v * kr / kg / c_range);
  c.kr = static_cast<float>(kr);
  c.kg = static_cast<float>(kg);
  c.kb = static_cast<float>(kb);
  c.y_span = static_cast<float>(y_range);
  c.u_span = static_cast<float>(c_range / u);
  c.v_span = static_cast<float>(c_range / v);
  c.max_code = static_cast<float>(max_code);
  c.peak = static_cast<float>(peak);
  return c;
}

struct Rgb {
  float r, g, b;
};

RM_HD Rgb yuv_to_rgb(const YuvCoding& c, float y, float u, float v) {
  const float l = (y - c.y_off) * c.y_gain;
  const float cu = u - c.c_off;
  const float cv = v - c.c_off;
  return {l + c.r_v * cv, l + c.g_u * cu + c.g_v * cv, l + c.b_u * cu};
}

RM_HD float rgb_to_luma(const YuvCoding& c, Rgb p) {
  return c.y_off + (c.kr * p.r + c.kg * p.g + c.kb * p.b) / c.peak * c.y_span;
}

struct Chroma {
  float u, v;
};

RM_HD Chroma rgb_to_chroma(const YuvCoding& c, Rgb p) {
  const float l = c.kr * p.r + c.kg * p.g + c.kb * p.b;
  return {c.c_off + (p.b - l) / c.peak * c.u_span, c.c_off + (p.r - l) / c.peak * c.v_span};
}

// Chroma decimation. A chroma sample i sits at luma position 2 i + off, off = 0 (co-sited), 0.5 (between) or 1.
// Up: luma x = 2 i + p lies at chroma position i + (p - off) / 2, so it takes (off / 2) of sample i - 1 for p = 0
// and ((1 - off) / 2) of sample i + 1 for p = 1, the rest from i.
// Down: taps at luma 2 i - 1 .. 2 i + 2, the triangle around off for 0 and 1, the two nearest for 0.5.
struct Siting {
  int sub_x, sub_y;  // log2 of the decimation
  float up_x[2], up_y[2];
  float down_x[4], down_y[4];
};

inline void siting_axis(int sub, double off, float up[2], float down[4]) {
  up[0] = sub ? static_cast<float>(off / 2) : 0.0f;
  up[1] = sub ? static_cast<float>((1 - off) / 2) : 0.0f;
  for (int i = 0; i < 4; ++i) {
    if (!sub) {
      down[i] = i == 1 ? 1.0f : 0.0f;
    } else if (off == 0.5) {
      down[i] = i == 1 || i == 2 ? 0.5f : 0.0f;
    } else {
      const double d = (i - 1) - off;
      const double a = d < 0 ? -d : d;
      down[i] = static_cast<float>(a == 0 ? 0.5 : (a == 1 ? 0.25 : 0.0));
    }
  }
}

inline Siting make_siting(int sub_x, int sub_y, double off_x, double off_y) {
  Siting s;
  s.sub_x = sub_x;
  s.sub_y = sub_y;
  siting_axis(sub_x, off_x, s.up_x, s.down_x);
  siting_axis(sub_y, off_y, s.up_y, s.down_y);
  return s;
}

RM_HD float lerp(float a, float b, float w) {
  return a + w * (b - a);
}

// Which chroma samples a luma row or column takes: the nearest, its neighbour, and the neighbour's weight.
struct Tap {
  int near, far;
  float weight;
};

RM_HD Tap chroma_tap(int luma, int sub, const float up[2], int size) {
  if (sub == 0) return {luma, luma, 0.0f};
  const int near = luma >> 1;
  const int odd = luma & 1;
  return {near, clamp_index(near + 2 * odd - 1, size), up[odd]};
}

// Chroma at one luma position: rows first, then columns (the order matters to the last bit).
template <class T>
RM_HD float chroma_at(const Plane<const T>& c, const Siting& s, int x, int y) {
  const Tap ty = chroma_tap(y, s.sub_y, s.up_y, c.height);
  const Tap tx = chroma_tap(x, s.sub_x, s.up_x, c.width);
  const float a = lerp(c.at(tx.near, ty.near), c.at(tx.near, ty.far), ty.weight);
  const float b = lerp(c.at(tx.far, ty.near), c.at(tx.far, ty.far), ty.weight);
  return lerp(a, b, tx.weight);
}

// A converted value as a sample: integers are rounded and clamped, floats are kept (0..1, may exceed).
template <class T>
RM_HD T to_sample(float v, float max_code) {
  return static_cast<T>(to_code(v, 0.5f, max_code));
}
template <>
RM_HD float to_sample<float>(float v, float) {
  return v;
}
template <>
RM_HD Half to_sample<Half>(float v, float) {
  return Half(v);
}

}  // namespace reelmend
