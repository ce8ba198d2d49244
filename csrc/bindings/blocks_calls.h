// The calls of block motion. Python (ops/blocks.py) allocates what they pass on; sizes are checked here.
#pragma once

#include "bindings/arguments.h"

namespace reelmend::bind {

using BlockSize = std::pair<int, int>;  // width, height of a level

// (step, window, weight) as Python hands them in.
using BlockRule = std::tuple<int, int, int>;

inline void check_block_size(const BlockSize& s) {
  if (s.first < 1 || s.second < 1 || s.first > kMaxBlockSide || s.second > kMaxBlockSide) {
    fail("expected sides of 1 to " + std::to_string(kMaxBlockSide));
  }
}

inline void check_window(int window) {
  if (window != 8 && window != 16 && window != 32) fail("window: expected 8, 16 or 32; got " + std::to_string(window));
}

inline BlockGrid grid_of(const BlockSize& size, const BlockRule& rule) {
  check_block_size(size);
  const auto [step, window, weight] = rule;
  check_window(window);
  if (step < 2 || step > window || step % 2) {
    fail("step: expected an even number from 2 to window; got " + std::to_string(step));
  }
  if (weight < 0 || weight > kMaxBlockWeight) fail("smooth: expected 0 to 2");
  const auto blocks = [step = step](int n) { return (n + step - 1) / step; };
  return {size.first, size.second, blocks(size.first), blocks(size.second), step, window, weight};
}

// The copy of a picture.
template <class T>
T* block_picture(const Array& a, const BlockSize& s, int window, const std::string& what) {
  return table<T>(a, {s.second + 2 * block_margin(window), block_pitch(s.first, window)}, what);
}

inline BlockField block_field(const Array& a, int columns, int rows, const std::string& what) {
  return {table<int>(a, {3, rows, columns}, what), columns, rows};
}

template <class L>
void def_blocks(py::module_& m) {
  constexpr Device device = L::kDevice;
  using StreamArg = typename L::StreamArg;

  m.def("block_copy", [](const py::object& plane_in, int window, const py::object& out, StreamArg stream) {
    const std::vector<Array> all{take(plane_in, device, "plane", false), take(out, device, "out", true)};
    const auto from = plane<const uint8_t>(all[0], "plane");
    check_block_size({from.width, from.height});
    check_window(window);
    uint8_t* const to = block_picture<uint8_t>(all[1], {from.width, from.height}, window, "out");
    typename L::Scope scope(stream, {&all});
    L::block_copy(scope, from, window, to);
  });

  m.def("block_halve", [](const py::object& in, const BlockSize& size, int window, const py::object& out,
                          StreamArg stream) {
    const std::vector<Array> all{take(in, device, "picture", false), take(out, device, "out", true)};
    check_block_size(size);
    check_window(window);
    const auto* const from = block_picture<const uint8_t>(all[0], size, window, "picture");
    uint8_t* const to = block_picture<uint8_t>(all[1], {(size.first + 1) / 2, (size.second + 1) / 2}, window, "out");
    typename L::Scope scope(stream, {&all});
    L::block_halve(scope, from, size.first, size.second, window, to);
  });

  // coarse: the field of the next coarser level, or None where the level is searched whole, within `radius`.
  // hint: (2, rows, columns) of the finest level, `level` halvings above this one, or None.
  m.def("block_search", [](const py::object& a, const py::object& b, const BlockSize& size, const BlockRule& rule,
                           const py::object& coarse, const py::object& hint, int level, int radius,
                           const py::object& out, StreamArg stream) {
    const BlockGrid g = grid_of(size, rule);
    if (radius < 0 || radius > kMaxBlockRadius)
      fail("radius: expected 0 to " + std::to_string(kMaxBlockRadius) + "; got " + std::to_string(radius));
    if (level < 0 || level > 16) fail("levels: expected 1 to 16");
    std::vector<Array> all{take(a, device, "a", false), take(b, device, "b", false), take(out, device, "out", true)};
    const auto* const from = block_picture<const uint8_t>(all[0], size, g.window, "a");
    const auto* const to = block_picture<const uint8_t>(all[1], size, g.window, "b");
    const BlockField found = block_field(all[2], g.columns, g.rows, "out");
    BlockField below{};
    if (!coarse.is_none()) {
      all.push_back(take(coarse, device, "coarse", false));
      const BlockGrid half = grid_of({(size.first + 1) / 2, (size.second + 1) / 2}, rule);
      below = block_field(all.back(), half.columns, half.rows, "coarse");
    }
    std::pair<Plane<const float>, Plane<const float>> hints{};
    if (!hint.is_none()) {
      all.push_back(take(hint, device, "hint", false));
      hints = pair_of<const float>(all.back(), "hint");
    }
    typename L::Scope scope(stream, {&all});
    L::block_search(scope, from, to, g, below, hints.first, hints.second, level, radius, found);
  });

  m.def("block_spread", [](const py::object& a, const py::object& b, const BlockSize& size, const BlockRule& rule,
                           const py::object& in, const py::object& out, StreamArg stream) {
    const BlockGrid g = grid_of(size, rule);
    const std::vector<Array> all{take(a, device, "a", false), take(b, device, "b", false),
                                 take(in, device, "field", false), take(out, device, "out", true)};
    const auto* const from = block_picture<const uint8_t>(all[0], size, g.window, "a");
    const auto* const to = block_picture<const uint8_t>(all[1], size, g.window, "b");
    const BlockField before = block_field(all[2], g.columns, g.rows, "field");
    const BlockField after = block_field(all[3], g.columns, g.rows, "out");
    typename L::Scope scope(stream, {&all});
    L::block_spread(scope, from, to, g, before, after);
  });

  m.def("block_fractions", [](const py::object& a, const py::object& b, const BlockSize& size, const BlockRule& rule,
                              const py::object& in, const py::object& flow, const py::object& cost, StreamArg stream) {
    const BlockGrid g = grid_of(size, rule);
    const std::vector<Array> all{take(a, device, "a", false), take(b, device, "b", false),
                                 take(in, device, "field", false), take(flow, device, "out", true),
                                 take(cost, device, "out", true)};
    const auto* const from = block_picture<const uint8_t>(all[0], size, g.window, "a");
    const auto* const to = block_picture<const uint8_t>(all[1], size, g.window, "b");
    const BlockField field = block_field(all[2], g.columns, g.rows, "field");
    const auto [u, v] = pair_of<float>(all[3], "out");
    const auto sads = plane<float>(all[4], "out");
    if (u.width != g.columns || u.height != g.rows || sads.width != g.columns || sads.height != g.rows) {
      fail("out: expected (2, " + std::to_string(g.rows) + ", " + std::to_string(g.columns) + ") and (" +
           std::to_string(g.rows) + ", " + std::to_string(g.columns) + "); got " + text(all[3].shape) + " and " +
           text(all[4].shape));
    }
    typename L::Scope scope(stream, {&all});
    L::block_fractions(scope, from, to, g, field, u, v, sads);
  });
}

}  // namespace reelmend::bind
