// The calls both modules offer, over a set of launchers: checks and dtype dispatch once, for CPU and CUDA.
//
// A Launchers type has: kDevice; Scope (what must be alive around the launches: the released GIL, the stream); and the
// launchers of cpu/ops.h as static functions that take the Scope first.
#pragma once

#include "bindings/arguments.h"
#include "bindings/blocks_calls.h"
#include "bindings/compose_calls.h"
#include "bindings/dense_calls.h"
#include "bindings/motion_calls.h"
#include "bindings/scatter_calls.h"

namespace reelmend::bind {

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
    on_feature(in[0].dtype, "plane", [&](auto i) {
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
    on_feature(in[0].dtype, "planes", [&](auto i) {
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
    on_feature(one[0].dtype, "a", [&](auto i) {
      const auto from_a = list_of<const decltype(i)>(one, "a");
      const auto from_b = list_of<const decltype(i)>(two, "b");
      const auto to = list_of<decltype(i)>(out, "out");
      typename L::Scope scope(stream, {&one, &two, &out, &fields});
      L::warp_blend(scope, from_a.data(), from_b.data(), static_cast<int>(from_a.size()), flow_a, flow_b, w,
                    sampler_of(how), static_cast<float>(max_code), to.data());
    });
  });

  m.def("warp_shrunk", [](const Objects& planes, const py::object& flow, int shrink, double max_code,
                          const Objects& outs, StreamArg stream) {
    const auto in = take_all(planes, device, "planes", false);
    const auto out = take_all(outs, device, "out", true);
    const std::vector<Array> field{take(flow, device, "flow", false)};
    expect_alike(in, in.empty() ? field[0] : in[0], "planes");
    if (out.size() != in.size()) fail("out: expected as many planes as given");
    if (shrink < 1 || (shrink > 1 && shrink % 2 != 0)) fail("shrink: expected 1 or an even whole number");
    if (in[0].shape[0] % shrink != 0 || in[0].shape[1] % shrink != 0) {
      fail("planes: expected sides that are multiples of " + std::to_string(shrink) + "; got " + text(in[0].shape));
    }
    const std::vector<int64_t> expected{in[0].shape[0] / shrink, in[0].shape[1] / shrink};
    for (const Array& a : out) {
      if (a.shape != expected) fail("out: expected planes of shape " + text(expected) + "; got " + text(a.shape));
    }
    const auto [u, v] = pair_of<const float>(field[0], "flow");
    const FlowField<const float> f{resizable<const float>(u, "flow"), v};
    on_feature(in[0].dtype, "planes", [&](auto i) {
      const auto from = list_of<const decltype(i)>(in, "planes");
      const auto to = list_of<decltype(i)>(out, "out");
      for (const auto& p : from) resizable<const decltype(i)>(p, "planes");
      typename L::Scope scope(stream, {&in, &out, &field});
      L::warp_shrunk(scope, from.data(), static_cast<int>(from.size()), f, shrink, static_cast<float>(max_code),
                     to.data());
    });
  });

  m.def("sharpen",
        [](const Objects& planes, const py::object& gains, double max_code, const Objects& outs, StreamArg stream) {
          const auto in = take_all(planes, device, "planes", false);
          const auto out = take_all(outs, device, "out", true);
          const std::vector<Array> field{take(gains, device, "gains", false)};
          expect_alike(in, in.empty() ? field[0] : in[0], "planes");
          expect_alike(out, in[0], "out");
          if (out.size() != in.size()) fail("out: expected as many planes as given");
          const auto own = stack_of<const float>(field[0], "gains");
          if (own.planes != 3) fail("gains: expected shape (3, rows, columns); got " + text(field[0].shape));
          resizable<const float>(own.first, "gains");
          on_feature(in[0].dtype, "planes", [&](auto i) {
            const auto from = list_of<const decltype(i)>(in, "planes");
            const auto to = list_of<decltype(i)>(out, "out");
            resizable<const decltype(i)>(from[0], "planes");
            typename L::Scope scope(stream, {&in, &out, &field});
            L::sharpen(scope, from.data(), static_cast<int>(from.size()), own, static_cast<float>(max_code), to.data());
          });
        });

  def_motion<L>(m);
  def_scatter<L>(m);
  def_compose<L>(m);
  def_blocks<L>(m);
  def_dense<L>(m);
}

}  // namespace reelmend::bind
