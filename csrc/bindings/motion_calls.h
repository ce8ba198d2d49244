// The calls of the room `motion`: flows compared, combined, cleaned and used. As in calls.h.
#pragma once

#include "bindings/arguments.h"

namespace reelmend::bind {

// A float32 field (2, height, width), of the first one's size if there is one.
template <class T>
FlowField<T> field_of(const Array& a, const std::string& what, const Array* like = nullptr) {
  const auto [u, v] = pair_of<T>(a, what);
  if (like && a.shape != like->shape) {
    fail(what + ": expected shape " + text(like->shape) + "; got " + text(a.shape));
  }
  if (u.width > kMaxSide || u.height > kMaxSide) {
    fail(what + ": expected sides of at most " + std::to_string(kMaxSide));
  }
  return {u, v};
}

// A plane of a field's size.
template <class T>
Plane<T> beside_field(const Array& a, const Array& field, const std::string& what) {
  const auto p = plane<T>(a, what);
  if (a.shape[0] != field.shape[1] || a.shape[1] != field.shape[2]) {
    fail(what + ": expected the flow's (height, width), (" + std::to_string(field.shape[1]) + ", " +
         std::to_string(field.shape[2]) + "); got " + text(a.shape));
  }
  return p;
}

// An array (planes, height, width) whose offsets fit in 32 bits.
template <class T>
Stack<T> stack_of(const Array& a, const std::string& what) {
  if (a.shape.size() != 3 || a.shape[0] < 1) {
    fail(what + ": expected shape (planes, height, width); got " + text(a.shape));
  }
  Array one = a;
  one.shape.erase(one.shape.begin());
  one.strides.erase(one.strides.begin());
  const auto first = plane<T>(one, what);
  const auto length = [](int64_t stride, int64_t size) { return (stride < 0 ? -stride : stride) * (size - 1); };
  if (length(a.strides[0], a.shape[0]) + length(a.strides[1], a.shape[1]) + length(a.strides[2], a.shape[2]) >
      std::numeric_limits<int32_t>::max() - 64) {
    fail(what + ": an array this large is not supported");
  }
  return {first, static_cast<int>(a.shape[0]), static_cast<int>(a.strides[0])};
}

template <class L>
void def_motion(py::module_& m) {
  constexpr Device device = L::kDevice;
  using StreamArg = typename L::StreamArg;

  // rule: relative, absolute, outside, room
  m.def("consistency",
        [](const py::object& forward, const py::object& backward,
           const std::tuple<double, double, double, double>& rule, const py::object& target, StreamArg stream) {
          const std::vector<Array> in{take(forward, device, "forward", false),
                                      take(backward, device, "backward", false), take(target, device, "out", true)};
          const auto f = field_of<const float>(in[0], "forward");
          const auto b = field_of<const float>(in[1], "backward", &in[0]);
          const auto to = beside_field<float>(in[2], in[0], "out");
          const auto [relative, absolute, outside, room] = rule;
          const ConsistencyRule r{static_cast<float>(relative), static_cast<float>(absolute),
                                  static_cast<float>(outside), static_cast<float>(room)};
          typename L::Scope scope(stream, {&in});
          L::consistency(scope, f, b, r, to);
        });

  // weights: of forward and backward in the first result, then in the second
  m.def("flows_at", [](const py::object& forward, const py::object& backward,
                       const std::tuple<double, double, double, double>& weights,
                       const std::pair<py::object, py::object>& targets, StreamArg stream) {
    const std::vector<Array> in{take(forward, device, "forward", false), take(backward, device, "backward", false),
                                take(targets.first, device, "out[0]", true),
                                take(targets.second, device, "out[1]", true)};
    const auto f = field_of<const float>(in[0], "forward");
    const auto b = field_of<const float>(in[1], "backward", &in[0]);
    const auto first = field_of<float>(in[2], "out[0]", &in[0]);
    const auto second = field_of<float>(in[3], "out[1]", &in[0]);
    const auto [a0, a1, b0, b1] = weights;
    const FlowWeights w{{static_cast<float>(a0), static_cast<float>(a1)},
                        {static_cast<float>(b0), static_cast<float>(b1)}};
    typename L::Scope scope(stream, {&in});
    L::flows_at(scope, f, b, w, first, second);
  });

  m.def("median_flow", [](const py::object& flow, int size, const py::object& target, StreamArg stream) {
    const std::vector<Array> in{take(flow, device, "flow", false), take(target, device, "out", true)};
    if (size != 3 && size != 5) fail("size: expected 3 or 5; got " + std::to_string(size));
    const auto from = field_of<const float>(in[0], "flow");
    const auto to = field_of<float>(in[1], "out", &in[0]);
    typename L::Scope scope(stream, {&in});
    L::median_flow(scope, from, size, to);
  });

  // space: (radius + 1,) weights by distance; range: (n,) weights by difference of the guide, `steps` to 1 of it
  m.def("bilateral_flow",
        [](const py::object& flow, const py::object& guide, const py::object& confidence, const py::object& space,
           const py::object& range, double steps, const py::object& target, StreamArg stream) {
          std::vector<Array> in{take(flow, device, "flow", false), take(guide, device, "guide", false),
                                take(space, device, "space", false), take(range, device, "range", false),
                                take(target, device, "out", true)};
          const auto from = field_of<const float>(in[0], "flow");
          const auto to = field_of<float>(in[4], "out", &in[0]);
          if (in[2].shape.size() != 1 || in[3].shape.size() != 1) fail("space, range: expected shape (n,)");
          const int radius = static_cast<int>(in[2].shape[0]) - 1;
          if (radius < 0 || radius > kMaxBilateralRadius) {
            fail("radius: expected 0 to " + std::to_string(kMaxBilateralRadius) + "; got " + std::to_string(radius));
          }
          if (in[3].shape[0] < 1 || in[3].shape[0] > (1 << 16)) fail("range: expected 1 to 65536 weights");
          const BilateralTables t{table<const float>(in[2], in[2].shape, "space"),
                                  table<const float>(in[3], in[3].shape, "range"), radius, static_cast<float>(steps),
                                  static_cast<float>(in[3].shape[0] - 1)};
          Plane<const float> trust{};
          if (!confidence.is_none()) {
            in.push_back(take(confidence, device, "confidence", false));
            trust = beside_field<const float>(in.back(), in[0], "confidence");
          }
          on_sample(in[1].dtype, "guide", [&](auto i) {
            const auto along = beside_field<const decltype(i)>(in[1], in[0], "guide");
            typename L::Scope scope(stream, {&in});
            L::bilateral_flow(scope, from, along, trust, t, to);
          });
        });

  m.def("adaptive_warp", [](const Objects& planes, const py::object& flow, const py::object& taps, double scale,
                            double max_code, const Objects& outs, StreamArg stream) {
    const auto in = take_all(planes, device, "planes", false);
    const auto out = take_all(outs, device, "out", true);
    const std::vector<Array> fields{take(flow, device, "flow", false), take(taps, device, "kernels", false)};
    expect_alike(in, in.empty() ? fields[0] : in[0], "planes");
    expect_alike(out, in[0], "out");
    if (out.size() != in.size()) fail("out: expected as many planes as given");
    const Flow f = flow_of(fields[0], scale, in[0], "flow");
    const auto own = stack_of<const float>(fields[1], "kernels");
    if (own.planes != 16 || own.first.width != f.u.width || own.first.height != f.u.height) {
      fail("kernels: expected shape (16, height, width) of the planes' height and width, " + text(in[0].shape) +
           "; got " + text(fields[1].shape));
    }
    on_sample(in[0].dtype, "planes", [&](auto i) {
      const auto from = list_of<const decltype(i)>(in, "planes");
      const auto to = list_of<decltype(i)>(out, "out");
      typename L::Scope scope(stream, {&in, &out, &fields});
      L::adaptive_warp(scope, from.data(), static_cast<int>(from.size()), f, own, static_cast<float>(max_code),
                       to.data());
    });
  });

  m.def("correlate",
        [](const py::object& a, const py::object& b, int radius, const py::object& target, StreamArg stream) {
          const std::vector<Array> in{take(a, device, "a", false), take(b, device, "b", false),
                                      take(target, device, "out", true)};
          const auto one = stack_of<const float>(in[0], "a");
          const auto two = stack_of<const float>(in[1], "b");
          const auto to = stack_of<float>(in[2], "out");
          if (radius < 0 || radius > kMaxCorrelation) {
            fail("radius: expected 0 to " + std::to_string(kMaxCorrelation) + "; got " + std::to_string(radius));
          }
          if (in[1].shape != in[0].shape) fail("b: expected shape " + text(in[0].shape) + "; got " + text(in[1].shape));
          const int64_t shifts = (2 * radius + 1) * (2 * radius + 1);
          const std::vector<int64_t> expected{shifts, in[0].shape[1], in[0].shape[2]};
          if (in[2].shape != expected) fail("out: expected shape " + text(expected) + "; got " + text(in[2].shape));
          if (shifts * in[0].shape[1] >= (1 << 19))
            fail("a: expected fewer rows: radius and height are too large together");
          typename L::Scope scope(stream, {&in});
          L::correlate(scope, one, two, radius, to);
        });
}

}  // namespace reelmend::bind
