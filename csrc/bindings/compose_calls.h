// The calls of the room `compose`: several warps in one, motion at a time between two frames, overlays. As in calls.h.
#pragma once

#include "bindings/motion_calls.h"

namespace reelmend::bind {

// (planes, flow, scale, weight, weight map or None) as Python hands it in.
using TermTuple = std::tuple<Objects, py::object, double, double, py::object>;

// The same, checked: planes and flows like those of the first term.
struct TakenTerms {
  TakenTerms(const std::vector<TermTuple>& terms, Device device) {
    if (terms.empty() || terms.size() > kMaxTerms) {
      fail("terms: expected 1 to " + std::to_string(kMaxTerms) + "; got " + std::to_string(terms.size()));
    }
    for (size_t k = 0; k < terms.size(); ++k) {
      const auto& [objects, flow, scale, weight, map] = terms[k];
      const std::string name = "terms[" + std::to_string(k) + "]";
      pictures.push_back(take_all(objects, device, name, false));
      if (pictures.back().size() != pictures[0].size()) fail(name + ": expected as many planes as in terms[0]");
      expect_alike(pictures.back(), pictures[0].empty() ? Array{} : pictures[0][0], name);
      arrays.push_back(take(flow, device, name + ".flow", false));
      const Array field = arrays.back();
      if (k == 0) first_ = field;
      const auto [u, v] = field_of<const float>(field, name + ".flow", &first_);
      resizable<const float>(u, name + ".flow");
      Weight w{{}, static_cast<float>(weight)};
      if (!map.is_none()) {
        arrays.push_back(take(map, device, name + ".weight", false));
        w.map = beside_field<const float>(arrays.back(), field, name + ".weight");
      }
      flows.push_back({u, v, static_cast<float>(scale)});
      weights.push_back(w);
    }
  }

  template <class T>
  Terms<T> as() const {
    Terms<T> out{};
    out.count = static_cast<int>(pictures.size());
    out.planes = static_cast<int>(pictures[0].size());
    for (size_t k = 0; k < pictures.size(); ++k) {
      out.term[k].flow = flows[k];
      out.term[k].weight = weights[k];
      const auto planes = list_of<const T>(pictures[k], "terms[" + std::to_string(k) + "]");
      for (size_t c = 0; c < planes.size(); ++c) out.term[k].plane[c] = planes[c];
    }
    return out;
  }

  std::vector<std::vector<Array>> pictures;
  std::vector<Array> arrays;  // flows and weight maps
  std::vector<Flow> flows;
  std::vector<Weight> weights;

 private:
  Array first_;
};

template <class L>
void def_compose(py::module_& m) {
  constexpr Device device = L::kDevice;
  using StreamArg = typename L::StreamArg;

  m.def("compose", [](const std::vector<TermTuple>& given, const std::pair<int, int>& how, double max_code,
                      const Objects& outs, StreamArg stream) {
    const TakenTerms terms(given, device);
    const Array& like = terms.pictures[0][0];
    const auto out = take_all(outs, device, "out", true);
    expect_alike(out, like, "out");
    if (out.size() != terms.pictures[0].size()) fail("out: expected as many planes as given");
    on_sample(like.dtype, "terms[0]", [&](auto i) {
      const auto in = terms.as<decltype(i)>();
      const auto to = list_of<decltype(i)>(out, "out");
      for (const auto& p : to) resizable<decltype(i)>(p, "out");
      typename L::Scope scope(stream, {&out, &terms.arrays, &terms.pictures[0], &terms.pictures.back()});
      L::compose(scope, in, sampler_of(how), static_cast<float>(max_code), to.data());
    });
  });

  // rule: t, pull, limit, steps; beyond may be None
  m.def("trace",
        [](const py::object& flow, const py::object& beyond, const std::tuple<double, double, double, int>& rule,
           const std::pair<py::object, py::object>& targets, StreamArg stream) {
          std::vector<Array> in{take(flow, device, "flow", false), take(targets.first, device, "out[0]", true),
                                take(targets.second, device, "out[1]", true)};
          const auto f = field_of<const float>(in[0], "flow");
          const auto one = field_of<float>(in[1], "out[0]", &in[0]);
          const auto two = field_of<float>(in[2], "out[1]", &in[0]);
          FlowField<const float> b{};
          if (!beyond.is_none()) {
            in.push_back(take(beyond, device, "beyond", false));
            b = field_of<const float>(in.back(), "beyond", &in[0]);
          }
          const auto [t, pull, limit, steps] = rule;
          const Tracing r{static_cast<float>(t), static_cast<float>(pull), static_cast<float>(limit), steps};
          typename L::Scope scope(stream, {&in});
          L::trace(scope, f, b, r, one, two);
        });

  // rule: still, contrast in codes; moving in pixels
  m.def("overlay", [](const py::object& a, const py::object& b, const py::object& flow,
                      const std::tuple<int, int, double>& rule, const py::object& count, StreamArg stream) {
    const std::vector<Array> in{take(a, device, "a", false), take(b, device, "b", false),
                                take(flow, device, "flow", false), take(count, device, "count", true)};
    const auto field = field_of<const float>(in[2], "flow");
    const auto to = plane<uint8_t>(in[3], "count");
    same_size(in[1], in[0], "b");
    same_size(in[3], in[0], "count");
    if (to.step != 1) fail("count: expected samples side by side in each row");
    resizable<uint8_t>(to, "count");
    const auto [still, contrast, moving] = rule;
    const OverlayRule r{still, contrast, static_cast<float>(moving * moving)};
    on_integer(in[0].dtype, "a", [&](auto i) {
      const auto one = plane<const decltype(i)>(in[0], "a");
      const auto two = plane<const decltype(i)>(in[1], "b");
      typename L::Scope scope(stream, {&in});
      L::overlay(scope, one, two, field, r, to);
    });
  });

  m.def("lay_over", [](const py::object& source, const py::object& count, int least, const py::object& target,
                       StreamArg stream) {
    const std::vector<Array> in{take(source, device, "source", false), take(count, device, "count", false),
                                take(target, device, "target", true)};
    const auto counts = plane<const uint8_t>(in[1], "count");
    same_size(in[2], in[0], "target");
    if (counts.step != 1) fail("count: expected samples side by side in each row");
    on_integer(in[0].dtype, "source", [&](auto i) {
      const auto from = plane<const decltype(i)>(in[0], "source");
      const auto to = resizable<decltype(i)>(plane<decltype(i)>(in[2], "target"), "target");
      for (const auto& [size, covers] : {std::pair{to.width, counts.width}, std::pair{to.height, counts.height}}) {
        if (covers < size || covers > 2 * size || covers > kMaxResize) {
          fail("count: expected the size of the planes, or up to twice it");
        }
      }
      typename L::Scope scope(stream, {&in});
      L::lay_over(scope, from, counts, least, to);
    });
  });
}

}  // namespace reelmend::bind
