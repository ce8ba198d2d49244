// The calls of the room `dense`: optical flow by dense inverse search. As in calls.h.
#pragma once

#include "bindings/arguments.h"

namespace reelmend::bind {

// One of the padded planes that share an array (2, height + pads, width + pads or more).
inline Padded<float> padded_of(const Array& a, int which, int width, int height) {
  if (a.shape.size() != 3 || a.shape[0] != 2 || a.shape[1] != height + kPadBefore + kPadAfter ||
      a.shape[2] < width + kPadBefore + kPadAfter) {
    fail("padded: expected shape (2, height + 17, width + 17 or more); got " + text(a.shape));
  }
  float* const data = table<float>(a, a.shape, "padded");
  if (a.size() > std::numeric_limits<int>::max()) fail("padded: too large");
  return {data + which * a.shape[1] * a.shape[2], static_cast<int>(a.shape[2])};
}

template <class L>
void def_dense(py::module_& m) {
  constexpr Device device = L::kDevice;
  using StreamArg = typename L::StreamArg;

  // One level. coarser: a flow (2, any height, any width), or None. rule: stride, iterations, rounds.
  // scratch: padded (2, height + 17, width + 17 or more), patches (2, 3, rows, columns of the grid).
  m.def("dense_level", [](const py::object& a, const py::object& b, const py::object& coarser,
                          const std::tuple<int, int, int>& rule, const std::pair<py::object, py::object>& scratch,
                          const py::object& target, StreamArg stream) {
    std::vector<Array> in{take(a, device, "a", false), take(b, device, "b", false), take(target, device, "out", true),
                          take(scratch.first, device, "padded", true), take(scratch.second, device, "patches", true)};
    const auto one = plane<const uint8_t>(in[0], "a");
    const auto two = plane<const uint8_t>(in[1], "b");
    same_size(in[1], in[0], "b");
    if (one.width > kMaxSide || one.height > kMaxSide) {
      fail("a: expected sides of at most " + std::to_string(kMaxSide));
    }
    const auto [u, v] = pair_of<float>(in[2], "out");
    if (u.width != one.width || u.height != one.height) {
      fail("out: expected (2, height, width) of the planes' height and width; got " + text(in[2].shape));
    }
    const auto [stride, iterations, rounds] = rule;
    if (stride < 1 || stride > kPatch) fail("stride: expected 1 to 8; got " + std::to_string(stride));
    if (iterations < 0) fail("iterations: expected 0 or more; got " + std::to_string(iterations));
    if (rounds < 1) fail("rounds: expected 1 or more; got " + std::to_string(rounds));
    const Search search{one.width, one.height, stride, patch_count(one.width, stride), patch_count(one.height, stride),
                        iterations};
    float* const grids = table<float>(in[4], {2, 3, search.rows, search.columns}, "patches");
    if (in[4].size() / 2 > std::numeric_limits<int>::max()) fail("patches: too many; take a larger stride");
    const PatchGrid<float> patches{grids, search.columns, search.rows};
    const PatchGrid<float> others{grids + in[4].size() / 2, search.columns, search.rows};
    Coarser from{};
    if (!coarser.is_none()) {
      in.push_back(take(coarser, device, "coarser", false));
      const auto [cu, cv] = pair_of<const float>(in.back(), "coarser");
      from = make_coarser({cu, cv}, one.width, one.height);
    }
    typename L::Scope scope(stream, {&in});
    L::dense_level(scope, one, two, from, search, rounds, padded_of(in[3], 0, one.width, one.height),
                   padded_of(in[3], 1, one.width, one.height), patches, others, FlowField<float>{u, v});
  });
}

}  // namespace reelmend::bind
