// The calls both modules offer, over a set of launchers: checks and dtype dispatch once, for CPU and CUDA.
//
// A Launchers type has: kDevice; Scope (what must be alive around the launches: the released GIL, the stream); and the
// launchers of cpu/ops.h as static functions that take the Scope first.
#pragma once

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

template <class L>
void def_calls(py::module_& m) {
  constexpr Device device = L::kDevice;
  using StreamArg = typename L::StreamArg;

  m.def("yuv_to_rgb", [](const Objects& yuv, const CodingTuple& ct, const Objects& rgb, double peak, StreamArg stream) {
    const auto in = take_all(yuv, device, "planes", false);
    const auto out = take_all(rgb, device, "out", true);
    expect_three(in, "planes");
    expect_three(out, "out");
    const Coding c = coding_from(ct);
    const Siting s = siting_of(in, c, "planes");
    same_size(out[0], in[0], "out");
    on_integer(in[0].dtype, "planes", [&](auto i) {
      on_sample(out[0].dtype, "out", [&](auto o) {
        const auto from = yuv_of<const decltype(i)>(in, "planes");
        const auto to = rgb_of<decltype(o)>(out, "out");
        typename L::Scope scope(stream, {&in, &out});
        L::yuv_to_rgb(scope, from, c.at_peak(peak), s, to, static_cast<float>(peak));
      });
    });
  });

  m.def("rgb_to_yuv",
        [](const Objects& rgb, double peak, const CodingTuple& ct, bool dither, const Objects& yuv, StreamArg stream) {
          const auto in = take_all(rgb, device, "planes", false);
          const auto out = take_all(yuv, device, "out", true);
          expect_three(in, "planes");
          expect_three(out, "out");
          const Coding c = coding_from(ct);
          const Siting s = siting_of(out, c, "out");
          same_size(out[0], in[0], "out");
          on_sample(in[0].dtype, "planes", [&](auto i) {
            on_integer(out[0].dtype, "out", [&](auto o) {
              const auto from = rgb_of<const decltype(i)>(in, "planes");
              const auto to = yuv_of<decltype(o)>(out, "out");
              typename L::Scope scope(stream, {&in, &out});
              L::rgb_to_yuv(scope, from, c.at_peak(peak), s, to, dither);
            });
          });
        });

  m.def("histogram_rgb", [](const Objects& rgb, double peak, const std::tuple<int, int, int, int>& region, int skip,
                            const py::object& out, StreamArg stream) {
    const auto in = take_all(rgb, device, "planes", false);
    expect_three(in, "planes");
    const Counts counts(take(out, device, "out", true));
    const Sampling at = sampling_of(in[0], region, skip);
    on_integer(in[0].dtype, "planes", [&](auto i) {
      const auto from = rgb_of<const decltype(i)>(in, "planes");
      typename L::Scope scope(stream, {&in});
      L::histogram_rgb(scope, from, static_cast<float>(peak), at, counts.bins, counts.data);
    });
  });

  m.def("histogram_yuv", [](const Objects& yuv, const CodingTuple& ct, const std::tuple<int, int, int, int>& region,
                            int skip, const py::object& out, StreamArg stream) {
    const auto in = take_all(yuv, device, "planes", false);
    expect_three(in, "planes");
    const Coding c = coding_from(ct);
    const Siting s = siting_of(in, c, "planes");
    const Counts counts(take(out, device, "out", true));
    const Sampling at = sampling_of(in[0], region, skip);
    on_integer(in[0].dtype, "planes", [&](auto i) {
      const auto from = yuv_of<const decltype(i)>(in, "planes");
      typename L::Scope scope(stream, {&in});
      L::histogram_yuv(scope, from, c.at_peak(counts.bins - 1), s, at, counts.bins, counts.data);
    });
  });

  m.def("quantiles", [](const py::object& histograms, const py::object& out, StreamArg stream) {
    const std::vector<Array> in{take(histograms, device, "histograms", false), take(out, device, "out", true)};
    if (in[0].shape.size() != 2 || in[1].shape.size() != 2)
      fail("histograms, out: expected (rows, bins), (rows, points)");
    const int rows = static_cast<int>(in[0].shape[0]);
    const int bins = static_cast<int>(in[0].shape[1]);
    const int points = static_cast<int>(in[1].shape[1]);
    check_bins(bins);
    const int* from = table<const int>(in[0], {rows, bins}, "histograms");
    float* const to = table<float>(in[1], {rows, points}, "out");
    typename L::Scope scope(stream, {&in});
    L::quantiles(scope, from, rows, bins, points, to);
  });

  m.def("smooth", [](const py::object& tables, const py::object& weights, const py::object& out, StreamArg stream) {
    const std::vector<Array> in{take(tables, device, "tables", false), take(weights, device, "weights", false),
                                take(out, device, "out", true)};
    if (in[0].shape.size() != 2) fail("tables: expected (count, n)");
    const int64_t count = in[0].shape[0];
    const int64_t n = in[0].shape[1];
    if (count * n > std::numeric_limits<int>::max()) fail("tables: too many");
    const float* from = table<const float>(in[0], {count, n}, "tables");
    const float* w = table<const float>(in[1], {count}, "weights");
    float* const to = table<float>(in[2], {n}, "out");
    typename L::Scope scope(stream, {&in});
    L::smooth(scope, from, w, static_cast<int>(count), static_cast<int>(n), to);
  });

  m.def("apply_lut", [](const py::object& x, const py::object& lut, int max_code, bool dither, const py::object& out,
                        StreamArg stream) {
    const std::vector<Array> in{take(x, device, "plane", false), take(lut, device, "lut", false),
                                take(out, device, "out", true)};
    if (in[1].shape.size() != 1 || in[1].shape[0] < 1) fail("lut: expected shape (n,)");
    const int size = static_cast<int>(in[1].shape[0]);
    const float* const values = table<const float>(in[1], {size}, "lut");
    same_size(in[2], in[0], "out");
    on_integer(in[0].dtype, "plane", [&](auto i) {
      on_integer(in[2].dtype, "out", [&](auto o) {
        const auto from = plane<const decltype(i)>(in[0], "plane");
        const auto to = plane<decltype(o)>(in[2], "out");
        typename L::Scope scope(stream, {&in});
        L::apply_lut(scope, from, values, size, static_cast<float>(max_code), dither, to);
      });
    });
  });

  m.def("map_tones", [](const Objects& yuv, const CodingTuple& ct, const Tones& tones, bool dither, const Objects& outs,
                        StreamArg stream) {
    const auto in = take_all(yuv, device, "planes", false);
    const auto out = take_all(outs, device, "out", true);
    expect_three(in, "planes");
    expect_three(out, "out");
    const Coding c = coding_from(ct);
    const Siting s = siting_of(in, c, "planes");
    for (int i = 0; i < 3; ++i) same_size(out[i], in[i], "out");
    on_integer(in[0].dtype, "planes", [&](auto i) {
      const auto from = yuv_of<const decltype(i)>(in, "planes");
      const auto to = yuv_of<decltype(i)>(out, "out");
      const TakenTones t(tones, device, in[0]);
      typename L::Scope scope(stream, {&in, &out, &t.arrays});
      L::map_tones(scope, from, c.at_peak(t.peak()), s, t.map, dither, to);
    });
  });

  m.def("map_tones_rgb", [](const Objects& rgb, const CodingTuple& ct, const Tones& tones, bool dither,
                            const Objects& outs, StreamArg stream) {
    const auto in = take_all(rgb, device, "planes", false);
    const auto out = take_all(outs, device, "out", true);
    expect_three(in, "planes");
    expect_three(out, "out");
    const Coding c = coding_from(ct);
    same_size(out[0], in[0], "out");
    on_integer(in[0].dtype, "planes", [&](auto i) {
      const auto from = rgb_of<const decltype(i)>(in, "planes");
      const auto to = rgb_of<decltype(i)>(out, "out");
      const TakenTones t(tones, device, in[0]);
      typename L::Scope scope(stream, {&in, &out, &t.arrays});
      L::map_tones_rgb(scope, from, c.at_peak(t.peak()), t.map, dither, to);
    });
  });

  m.def("map_tones_gray", [](const py::object& gray, const CodingTuple& ct, const Tones& tones, bool dither,
                             const py::object& target, StreamArg stream) {
    const std::vector<Array> in{take(gray, device, "plane", false), take(target, device, "out", true)};
    const Coding c = coding_from(ct);
    same_size(in[1], in[0], "out");
    on_integer(in[0].dtype, "plane", [&](auto i) {
      const auto from = plane<const decltype(i)>(in[0], "plane");
      const auto to = plane<decltype(i)>(in[1], "out");
      const TakenTones t(tones, device, in[0]);
      typename L::Scope scope(stream, {&in, &t.arrays});
      L::map_tones_gray(scope, from, c.at_peak(t.peak()), t.map, dither, to);
    });
  });

  m.def("exposure_yuv", [](const Objects& yuv, const CodingTuple& ct, const Exposure& exposure,
                           const py::object& target, StreamArg stream) {
    const auto in = take_all(yuv, device, "planes", false);
    expect_three(in, "planes");
    const Coding c = coding_from(ct);
    const Siting s = siting_of(in, c, "planes");
    const TakenExposure e(exposure, device, target, in[0]);
    on_integer(in[0].dtype, "planes", [&](auto i) {
      const auto from = yuv_of<const decltype(i)>(in, "planes");
      typename L::Scope scope(stream, {&in, &e.arrays});
      L::exposure_yuv(scope, from, c.at_peak(e.rule.last), s, e.rule, e.out);
    });
  });

  m.def("exposure_rgb",
        [](const Objects& rgb, double peak, const Exposure& exposure, const py::object& target, StreamArg stream) {
          const auto in = take_all(rgb, device, "planes", false);
          expect_three(in, "planes");
          const TakenExposure e(exposure, device, target, in[0]);
          on_integer(in[0].dtype, "planes", [&](auto i) {
            const auto from = rgb_of<const decltype(i)>(in, "planes");
            typename L::Scope scope(stream, {&in, &e.arrays});
            L::exposure_rgb(scope, from, static_cast<float>(e.rule.last / peak), e.rule, e.out);
          });
        });

  m.def("area_mean", [](const py::object& x, const py::object& out, StreamArg stream) {
    const std::vector<Array> in{take(x, device, "plane", false), take(out, device, "out", true)};
    if (in[1].shape.size() != 2) fail("out: expected shape (rows, columns)");
    const int rows = static_cast<int>(in[1].shape[0]);
    const int columns = static_cast<int>(in[1].shape[1]);
    float* const to = table<float>(in[1], {rows, columns}, "out");
    if (in[0].shape.size() == 2 && (rows > in[0].shape[0] || columns > in[0].shape[1] || rows < 1 || columns < 1)) {
      fail("out: expected at least one sample a tile");
    }
    on_integer(in[0].dtype, "plane", [&](auto i) {
      const auto from = plane<const decltype(i)>(in[0], "plane");
      typename L::Scope scope(stream, {&in});
      L::area_mean(scope, from, columns, rows, to);
    });
  });

  m.def("resize", [](const py::object& x, bool area, double max_code, const py::object& target, StreamArg stream) {
    const std::vector<Array> in{take(x, device, "plane", false), take(target, device, "out", true)};
    on_sample(in[0].dtype, "plane", [&](auto i) {
      const auto from = resizable<const decltype(i)>(plane<const decltype(i)>(in[0], "plane"), "plane");
      const auto to = resizable<decltype(i)>(plane<decltype(i)>(in[1], "out"), "out");
      typename L::Scope scope(stream, {&in});
      L::resize(scope, from, area ? Resizing::area : Resizing::bilinear, 1.0f, static_cast<float>(max_code), to);
    });
  });

  m.def("resize_flow", [](const py::object& x, const py::object& target, StreamArg stream) {
    const std::vector<Array> in{take(x, device, "flow", false), take(target, device, "out", true)};
    const auto [u, v] = pair_of<const float>(in[0], "flow");
    const auto [to_u, to_v] = pair_of<float>(in[1], "out");
    resizable<const float>(u, "flow");
    resizable<float>(to_u, "out");
    const float across = static_cast<float>(to_u.width) / static_cast<float>(u.width);
    const float down = static_cast<float>(to_u.height) / static_cast<float>(u.height);
    typename L::Scope scope(stream, {&in});
    L::resize(scope, u, Resizing::bilinear, across, 0.0f, to_u);
    L::resize(scope, v, Resizing::bilinear, down, 0.0f, to_v);
  });

  m.def("warp", [](const Objects& planes, const py::object& flow, double scale, const std::pair<int, int>& how,
                   double max_code, const Objects& outs, StreamArg stream) {
    const auto in = take_all(planes, device, "planes", false);
    const auto out = take_all(outs, device, "out", true);
    const std::vector<Array> field{take(flow, device, "flow", false)};
    expect_alike(in, in.empty() ? field[0] : in[0], "planes");
    expect_alike(out, in[0], "out");
    if (out.size() != in.size()) fail("out: expected as many planes as given");
    const Flow f = flow_of(field[0], scale, in[0], "flow");
    on_sample(in[0].dtype, "planes", [&](auto i) {
      const auto from = list_of<const decltype(i)>(in, "planes");
      const auto to = list_of<decltype(i)>(out, "out");
      typename L::Scope scope(stream, {&in, &out, &field});
      L::warp(scope, from.data(), static_cast<int>(from.size()), f, sampler_of(how), static_cast<float>(max_code),
              to.data());
    });
  });

  // weights (height, width), or None where the number `weight` holds everywhere.
  m.def("warp_blend", [](const Objects& a, const Objects& b, const std::pair<py::object, py::object>& flows,
                         const std::pair<double, double>& scale, double weight, const py::object& weights,
                         const std::pair<int, int>& how, double max_code, const Objects& outs, StreamArg stream) {
    const auto one = take_all(a, device, "a", false);
    const auto two = take_all(b, device, "b", false);
    const auto out = take_all(outs, device, "out", true);
    std::vector<Array> fields{take(flows.first, device, "flow_a", false), take(flows.second, device, "flow_b", false)};
    expect_alike(one, one.empty() ? fields[0] : one[0], "a");
    expect_alike(two, one[0], "b");
    expect_alike(out, one[0], "out");
    if (two.size() != one.size()) fail("b: expected as many planes as in a");
    if (out.size() != one.size()) fail("out: expected as many planes as given");
    const Flow flow_a = flow_of(fields[0], scale.first, one[0], "flow_a");
    const Flow flow_b = flow_of(fields[1], scale.second, one[0], "flow_b");
    Weight w{{}, static_cast<float>(weight)};
    if (!weights.is_none()) {
      fields.push_back(take(weights, device, "weight", false));
      w.map = plane<const float>(fields.back(), "weight");
      same_size(fields.back(), one[0], "weight");
    }
    on_sample(one[0].dtype, "a", [&](auto i) {
      const auto from_a = list_of<const decltype(i)>(one, "a");
      const auto from_b = list_of<const decltype(i)>(two, "b");
      const auto to = list_of<decltype(i)>(out, "out");
      typename L::Scope scope(stream, {&one, &two, &out, &fields});
      L::warp_blend(scope, from_a.data(), from_b.data(), static_cast<int>(from_a.size()), flow_a, flow_b, w,
                    sampler_of(how), static_cast<float>(max_code), to.data());
    });
  });
}

}  // namespace reelmend::bind
