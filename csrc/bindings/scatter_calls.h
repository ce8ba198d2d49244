// The calls that scatter: forward warps and projected flows. Scratch is a table of int32 whose size is asked for first.
#pragma once

#include "bindings/arguments.h"
#include "ops/projection.h"

namespace reelmend::bind {

inline Splat splat_mode(int mode) {
  return mode == 0 ? Splat::average : mode == 1 ? Splat::linear : Splat::softmax;
}

inline void expect_picture(const Array& a, const std::string& what) {
  if (a.shape[0] < 1 || a.shape[1] < 1) fail(what + ": an empty plane, shape " + text(a.shape));
}

inline void expect_field(const Array& a, const std::string& what) {
  if (a.shape.size() != 3 || a.shape[0] != 2) fail(what + ": expected shape (2, height, width); got " + text(a.shape));
  if (a.shape[1] > kMaxSide || a.shape[2] > kMaxSide) {
    fail(what + ": expected sides of at most " + std::to_string(kMaxSide));
  }
  if (a.shape[1] < 1 || a.shape[2] < 1) fail(what + ": an empty flow, shape " + text(a.shape));
  if (a.shape[1] * a.shape[2] >= kMostProjected) fail(what + ": expected fewer than 2^29 pixels; got " + text(a.shape));
}

// The words that were given, if they are enough.
inline std::pair<int*, int64_t> scratch_of(const Array& a, int64_t words) {
  if (a.shape.size() != 1 || a.shape[0] < words) {
    fail("scratch: expected (" + std::to_string(words) + ",) or more; got " + text(a.shape));
  }
  return {table<int>(a, a.shape, "scratch"), a.shape[0]};
}

inline Plane<const float> weights_of(const Array& a, const std::vector<int64_t>& shape, const std::string& what) {
  if (a.shape != shape) fail(what + ": expected the picture's shape " + text(shape) + "; got " + text(a.shape));
  return plane<const float>(a, what);
}

template <class L>
void def_scatter(py::module_& m) {
  constexpr Device device = L::kDevice;
  using StreamArg = typename L::StreamArg;

  m.def("splat_words", [](const Objects& planes, int mode) {
    const auto in = take_all(planes, device, "planes", false);
    if (in.empty()) fail("planes: expected 1 to " + std::to_string(kMaxPlanes) + " planes; got 0");
    expect_alike(in, in[0], "planes");
    expect_picture(in[0], "planes");
    int64_t words = 0;
    on_sample(in[0].dtype, "planes", [&](auto i) {
      words = L::template splat_words<decltype(i)>(static_cast<int>(in[0].shape[1]), static_cast<int>(in[0].shape[0]),
                                                   static_cast<int>(in.size()), splat_mode(mode), L::workers());
    });
    return words;
  });

  m.def("splat",
        [](const Objects& planes, const py::object& flow, double scale, int how, const py::object& metric,
           double max_code, const Objects& outs, const py::object& cover, const py::object& memory, StreamArg stream) {
          const auto in = take_all(planes, device, "planes", false);
          const auto out = take_all(outs, device, "out", true);
          std::vector<Array> fields{take(flow, device, "flow", false), take(cover, device, "coverage", true),
                                    take(memory, device, "scratch", true)};
          expect_alike(in, in.empty() ? fields[0] : in[0], "planes");
          expect_alike(out, in[0], "out");
          if (out.size() != in.size()) fail("out: expected as many planes as given");
          const Flow f = flow_of(fields[0], scale, in[0], "flow");
          const auto coverage = plane<float>(fields[1], "coverage");
          same_size(fields[1], in[0], "coverage");
          const Splat mode = splat_mode(how);
          Plane<const float> weights{};
          if (mode != Splat::average) {
            fields.push_back(take(metric, device, "metric", false));
            weights = weights_of(fields.back(), in[0].shape, "metric");
          }
          on_sample(in[0].dtype, "planes", [&](auto i) {
            using T = decltype(i);
            const auto from = list_of<const T>(in, "planes");
            const auto to = list_of<T>(out, "out");
            const int count = static_cast<int>(from.size());
            const auto [scratch, words] =
                scratch_of(fields[2], L::template splat_words<T>(coverage.width, coverage.height, count, mode, 1));
            typename L::Scope scope(stream, {&in, &out, &fields});
            L::splat(scope, from.data(), count, f, mode, weights, static_cast<float>(max_code), to.data(), coverage,
                     scratch, words);
          });
        });

  m.def("project_words", [](const py::object& flow, bool weighted) {
    const Array field = take(flow, device, "flow", false);
    expect_field(field, "flow");
    return L::project_words(static_cast<int>(field.shape[2]), static_cast<int>(field.shape[1]), weighted, L::workers());
  });

  m.def(
      "project_flow", [](const py::object& flow, double t, const py::object& weight, bool fill,
                         const py::object& target, const py::object& map, const py::object& memory, StreamArg stream) {
        std::vector<Array> fields{take(flow, device, "flow", false), take(target, device, "out", true),
                                  take(map, device, "holes", true), take(memory, device, "scratch", true)};
        expect_field(fields[0], "flow");
        const std::vector<int64_t> size{fields[0].shape[1], fields[0].shape[2]};
        const auto [u, v] = pair_of<const float>(fields[0], "flow");
        const auto [to_u, to_v] = pair_of<float>(fields[1], "out");
        same_size(fields[1], fields[0], "out");
        const auto holes = plane<uint8_t>(fields[2], "holes");
        if (fields[2].shape != size) fail("holes: expected shape " + text(size) + "; got " + text(fields[2].shape));
        Plane<const float> weights{};
        if (!weight.is_none()) {
          fields.push_back(take(weight, device, "depth_weight", false));
          weights = weights_of(fields.back(), size, "depth_weight");
        }
        const auto [scratch, words] = scratch_of(fields[3], L::project_words(u.width, u.height, !weight.is_none(), 1));
        typename L::Scope scope(stream, {&fields});
        L::project_flow(scope, Flow{u, v, static_cast<float>(t)}, weights, fill, to_u, to_v, holes, scratch, words);
      });
}

}  // namespace reelmend::bind
