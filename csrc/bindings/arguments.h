// What the calls of both modules are given, checked and as views: once, for CPU and CUDA.
#pragma once

#include <limits>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "bindings/array.h"
#include "cpu/ops.h"

namespace reelmend::bind {

using Objects = std::vector<py::object>;

// (kr, kb, depth, full_range, off_x, off_y) as Python hands them in.
struct Coding {
  double kr, kb;
  int depth;
  bool full_range;
  double off_x, off_y;

  YuvCoding at_peak(double peak) const { return make_coding(kr, kb, depth, full_range, peak); }
};

inline Coding coding_from(const std::tuple<double, double, int, bool, double, double>& t) {
  const Coding c{std::get<0>(t), std::get<1>(t), std::get<2>(t), std::get<3>(t), std::get<4>(t), std::get<5>(t)};
  if (c.depth < 8 || c.depth > 16) fail("depth: expected 8 to 16 bits; got " + std::to_string(c.depth));
  return c;
}
using CodingTuple = std::tuple<double, double, int, bool, double, double>;

inline std::vector<Array> take_all(const Objects& objects, Device device, const std::string& what, bool writable) {
  std::vector<Array> out;
  for (size_t i = 0; i < objects.size(); ++i) {
    out.push_back(take(objects[i], device, what + "[" + std::to_string(i) + "]", writable));
  }
  return out;
}

inline void expect_three(const std::vector<Array>& a, const std::string& what) {
  if (a.size() != 3) fail(what + ": expected 3 planes; got " + std::to_string(a.size()));
}

// Decimation of chroma planes, from the sizes.
inline std::pair<int, int> subsampling(const std::vector<Array>& yuv, const std::string& what) {
  const auto axis = [&](int i) {
    const int64_t luma = yuv[0].shape[i];
    const int64_t chroma = yuv[1].shape[i];
    if (chroma == luma) return 0;
    if (chroma == (luma + 1) / 2) return 1;
    fail(what + ": chroma planes must be as large as luma or half as large (rounded up)");
  };
  if (yuv[0].shape.size() != 2 || yuv[1].shape.size() != 2 || yuv[1].shape != yuv[2].shape) {
    fail(what + ": expected a luma plane and two chroma planes of one shape");
  }
  const int y = axis(0);
  return {axis(1), y};
}

inline Siting siting_of(const std::vector<Array>& yuv, const Coding& c, const std::string& what) {
  const auto [sx, sy] = subsampling(yuv, what);
  return make_siting(sx, sy, c.off_x, c.off_y);
}

template <class T>
cpu::Yuv<T> yuv_of(const std::vector<Array>& a, const std::string& what) {
  return {plane<T>(a[0], what + "[0]"), plane<T>(a[1], what + "[1]"), plane<T>(a[2], what + "[2]")};
}

template <class T>
cpu::RgbPlanes<T> rgb_of(const std::vector<Array>& a, const std::string& what) {
  const cpu::RgbPlanes<T> p{plane<T>(a[0], what + "[0]"), plane<T>(a[1], what + "[1]"), plane<T>(a[2], what + "[2]")};
  if (a[1].shape != a[0].shape || a[2].shape != a[0].shape) fail(what + ": expected three planes of one shape");
  return p;
}

inline void same_size(const Array& a, const Array& b, const std::string& what) {
  if (a.shape != b.shape) fail(what + ": expected the input's shape");
}

template <class F>
void on_integer(DType t, const std::string& what, const F& f) {
  if (t == DType::u8) return f(uint8_t{});
  if (t == DType::u16) return f(uint16_t{});
  fail(what + ": expected uint8 or uint16; got " + name_of(t));
}

template <class F>
void on_sample(DType t, const std::string& what, const F& f) {
  if (t == DType::f32) return f(float{});
  on_integer(t, what, f);
}

// What is fetched and resized: samples of pictures, and of features of networks.
template <class F>
void on_feature(DType t, const std::string& what, const F& f) {
  if (t == DType::f16) return f(Half{});
  on_sample(t, what, f);
}

inline Sampling sampling_of(const Array& y, const std::tuple<int, int, int, int>& region, int skip) {
  Sampling s{std::get<0>(region), std::get<1>(region), std::get<2>(region), std::get<3>(region), skip};
  if (s.x0 < 0 || s.y0 < 0 || s.x1 > y.shape[1] || s.y1 > y.shape[0] || s.x0 >= s.x1 || s.y0 >= s.y1) {
    fail("region: expected 0 <= x0 < x1 <= width and 0 <= y0 < y1 <= height");
  }
  if (skip < 1) fail("skip: expected 1 or more; got " + std::to_string(skip));
  return s;
}

inline void check_bins(int bins) {
  if (bins < 2 || bins > kMaxBins) fail("bins: expected 2 to 1024; got " + std::to_string(bins));
}

// Where a histogram call counts: kHistograms rows of `bins`.
struct Counts {
  explicit Counts(const Array& out) : array(out), bins(out.shape.size() == 2 ? static_cast<int>(out.shape[1]) : 0) {
    check_bins(bins);
    data = table<int>(array, {kHistograms, bins}, "out");
  }
  Array array;
  int bins;
  int* data;
};

// (change, gains, response, mask) as Python hands them in; the last three may be None, gains and response together.
using Tones = std::tuple<py::object, py::object, py::object, py::object>;

// The same, checked, for a picture that has been checked.
struct TakenTones {
  TakenTones(const Tones& tones, Device device, const Array& picture) {
    const auto& [change, gains, response, mask] = tones;
    arrays.push_back(take(change, device, "change", false));
    if (arrays[0].shape.size() != 2) fail("change: expected shape (3, n)");
    const int64_t size = arrays[0].shape[1];
    if (size < 2 || size > (1 << 16)) fail("change: expected 2 to 65536 entries a channel");
    map.table = {table<const float>(arrays[0], {3, size}, "change"), static_cast<int>(size)};
    if (!gains.is_none()) {
      arrays.push_back(take(gains, device, "gains", false));
      arrays.push_back(take(response, device, "response", false));
      map.field = field_of(arrays[1], table<const float>(arrays[2], {3, size}, "response"), picture);
    }
    if (!mask.is_none()) {
      arrays.push_back(take(mask, device, "mask", false));
      map.mask = plane<const uint8_t>(arrays.back(), "mask");
      if (arrays.back().shape != picture.shape) fail("mask: expected the picture's shape (height, width)");
    }
  }

  GainField field_of(const Array& gains, const float* response, const Array& picture) const {
    const auto& s = gains.shape;
    if (s.size() != 4) fail("gains: expected shape (3, bins, rows, columns)");
    if (s[1] < 1 || s[2] < 1 || s[3] < 1 || s[2] > kMaxRows || s[1] > kMaxGains / s[3]) {
      fail("gains: expected 1 or more bins, rows and columns, bins times columns at most " + std::to_string(kMaxGains) +
           ", at most " + std::to_string(kMaxRows) + " rows");
    }
    return make_field(table<const float>(gains, {3, s[1], s[2], s[3]}, "gains"), response, static_cast<int>(s[1]),
                      static_cast<int>(s[2]), static_cast<int>(s[3]), static_cast<int>(picture.shape[1]),
                      static_cast<int>(picture.shape[0]), peak());
  }

  double peak() const { return map.table.size - 1; }

  static constexpr int64_t kMaxRows = 1 << 16;
  std::vector<Array> arrays;
  ToneMap map{};
};

// (low, high, table) as Python hands them in; the table may be None.
using Exposure = std::tuple<double, double, py::object>;

// The same, checked, and where the result goes.
struct TakenExposure {
  TakenExposure(const Exposure& exposure, Device device, const py::object& target, const Array& picture) {
    arrays.push_back(take(target, device, "out", true));
    out = plane<uint8_t>(arrays[0], "out");
    same_size(arrays[0], picture, "out");
    const auto& [low, high, values] = exposure;
    rule = {nullptr, 1.0f, static_cast<float>(low), static_cast<float>(high)};
    if (values.is_none()) return;
    arrays.push_back(take(values, device, "table", false));
    if (arrays[1].shape.size() != 1) fail("table: expected shape (n,)");
    const int64_t size = arrays[1].shape[0];
    if (size < 2 || size > (1 << 16)) fail("table: expected 2 to 65536 entries");
    rule.table = table<const float>(arrays[1], {size}, "table");
    rule.last = static_cast<float>(size - 1);
  }

  std::vector<Array> arrays;
  Plane<uint8_t> out;
  ExposureRule rule;
};

// Planes of one size, as the warps take them.
inline void expect_alike(const std::vector<Array>& planes, const Array& first, const std::string& what) {
  if (planes.empty() || planes.size() > kMaxPlanes) {
    fail(what + ": expected 1 to " + std::to_string(kMaxPlanes) + " planes; got " + std::to_string(planes.size()));
  }
  for (const Array& p : planes) {
    if (p.shape.size() != 2) fail(what + ": expected planes of shape (height, width); got " + text(p.shape));
    if (p.shape != first.shape)
      fail(what + ": expected planes of one shape, " + text(first.shape) + "; got " + text(p.shape));
    if (p.shape[0] > kMaxSide || p.shape[1] > kMaxSide) {
      fail(what + ": expected sides of at most " + std::to_string(kMaxSide));
    }
  }
}

// A field (2, height, width) as two planes.
template <class T>
std::pair<Plane<T>, Plane<T>> pair_of(const Array& a, const std::string& what) {
  if (a.shape.size() != 3 || a.shape[0] != 2) fail(what + ": expected shape (2, height, width); got " + text(a.shape));
  Array u = a;
  u.shape.erase(u.shape.begin());
  u.strides.erase(u.strides.begin());
  Array v = u;
  v.data = static_cast<std::remove_const_t<T>*>(a.data) + a.strides[0];
  return {plane<T>(u, what), plane<T>(v, what)};
}

inline Flow flow_of(const Array& a, double scale, const Array& picture, const std::string& what) {
  const auto [u, v] = pair_of<const float>(a, what);
  if (a.shape[1] != picture.shape[0] || a.shape[2] != picture.shape[1]) {
    fail(what + ": expected (2, height, width) of the planes' height and width, " + text(picture.shape) + "; got " +
         text(a.shape));
  }
  return {u, v, static_cast<float>(scale)};
}

template <class T>
Plane<T> resizable(const Plane<T>& p, const std::string& what) {
  if (p.width > kMaxResize || p.height > kMaxResize) {
    fail(what + ": expected sides of at most " + std::to_string(kMaxResize));
  }
  return p;
}

// filter and border as Python hands them in.
inline Sampler sampler_of(const std::pair<int, int>& s) {
  return {s.first == 0 ? Filter::bilinear : Filter::bicubic, s.second == 0   ? Border::edge
                                                             : s.second == 1 ? Border::zeros
                                                                             : Border::reflect};
}

template <class T>
std::vector<Plane<T>> list_of(const std::vector<Array>& a, const std::string& what) {
  std::vector<Plane<T>> planes;
  for (size_t i = 0; i < a.size(); ++i) planes.push_back(plane<T>(a[i], what + "[" + std::to_string(i) + "]"));
  return planes;
}

}  // namespace reelmend::bind
