#include "ops/projection.h"

#include "cpu/ops.h"
#include "cpu/scatter.h"

namespace reelmend::cpu {
namespace {

using C = Cell<2, true>;

RM_CLONES void back_row(const float* __restrict u, const float* __restrict v, float t, uint32_t* __restrict to, int n) {
  for (int i = 0; i < n; ++i) {
    to[4 * i] = fixed_of<float>(way_back(u[i], t));
    to[4 * i + 1] = fixed_of<float>(way_back(v[i], t));
    to[4 * i + 2] = 1;
    to[4 * i + 3] = 0;
  }
}

RM_CLONES void hole_row(const uint64_t* __restrict cells, uint8_t* __restrict to, int step, int n) {
  for (int i = 0; i < n; ++i) to[i * step] = cells[i * C::kSums + C::kWeight] == 0 ? 1 : 0;
}

// Calls f(x) for the holes of a row from column `first` to `last`; where there are none, eight at a time are passed.
template <class F>
void each_hole(const Plane<uint8_t>& holes, int y, int first, int last, const F& f) {
  const uint8_t* const row = holes.row(y);
  int x = first;
  while (x < last) {
    uint64_t eight = 1;
    if (holes.step == 1 && x + 8 <= last) std::memcpy(&eight, row + x, 8);
    if (eight == 0) {
      x += 8;
      continue;
    }
    const int end = std::min(x + 8, last);
    for (; x < end; ++x) {
      if (row[x * holes.step]) f(x);
    }
  }
}

// Nearest places above and below, kept in u.
void look_up_and_down(const Plane<uint8_t>& holes, const Plane<float>& u, int first, int last) {
  for (int y = holes.height - 1; y >= 0; --y) {
    each_hole(holes, y, first, last, [&](int x) {
      int down = y;
      if (y + 1 < holes.height) {
        const int next = holes.at(x, y + 1) ? kept_high(u.at(x, y + 1)) : y + 1;
        if (next > y + 1 || !holes.at(x, y + 1)) down = next;
      }
      u.at(x, y) = keep_two(y, down);
    });
  }
  for (int y = 1; y < holes.height; ++y) {
    each_hole(holes, y, first, last, [&](int x) {
      int up = y;
      const int next = holes.at(x, y - 1) ? kept_low(u.at(x, y - 1)) : y - 1;
      if (next < y - 1 || !holes.at(x, y - 1)) up = next;
      u.at(x, y) = keep_two(up, kept_high(u.at(x, y)));
    });
  }
}

// Only holes are written and only others are read, so rows do not wait for each other.
void fill_row(const Plane<uint8_t>& holes, const Plane<float>& u, const Plane<float>& v, int y) {
  int end = -1, start = -1;  // of the run of holes that x is in
  each_hole(holes, y, 0, holes.width, [&](int x) {
    if (x >= end) {
      start = x;
      for (end = x + 1; end < holes.width && holes.at(end, y);) ++end;
    }
    const Sides s{start > 0 ? start - 1 : x, end < holes.width ? end : x, kept_low(u.at(x, y)), kept_high(u.at(x, y))};
    u.at(x, y) = mean_of_sides(u, x, y, s);
    v.at(x, y) = mean_of_sides(v, x, y, s);
  });
}

}  // namespace

int64_t project_words(int width, int height, bool weighted, int workers) {
  return scatter_words(BandShape(width, height, C::kSums, weighted), workers);
}

void project_flow(const Flow& flow, const Plane<const float>& weight, bool fill, const Plane<float>& u,
                  const Plane<float>& v, const Plane<uint8_t>& holes, int* scratch, int64_t words) {
  const auto load = [&](int x, int y, int n, uint32_t* values) {
    float buffer[2][kScatterChunk];
    back_row(row_of_floats(flow.u, x, y, buffer[0], n), row_of_floats(flow.v, x, y, buffer[1], n), flow.scale, values,
             n);
  };
  const auto store = [&](int y, const uint64_t* cells) {
    float value[kChunk];
    for (int x = 0; x < u.width; x += kChunk) {
      const int n = std::min(kChunk, u.width - x);
      const uint64_t* const from = cells + x * C::kSums;
      mean_row<C, float>(from, 0, value, n);
      store_row(value, u.row(y) + x * u.step, u.step, 0.0f, n);
      mean_row<C, float>(from, 1, value, n);
      store_row(value, v.row(y) + x * v.step, v.step, 0.0f, n);
      hole_row(from, holes.row(y) + x * holes.step, holes.step, n);
    }
  };
  if (weight.data) {
    scatter<C, Splat::linear, Box>(flow, weight, {scratch, words}, load, store);
  } else {
    scatter<C, Splat::average, Box>(flow, weight, {scratch, words}, load, store);
  }
  if (!fill) return;
  parallel(u.width, 64, [&](int first, int last) { look_up_and_down(holes, u, first, last); });
  parallel(u.height, 16, [&](int first, int last) {
    for (int y = first; y < last; ++y) fill_row(holes, u, v, y);
  });
}

}  // namespace reelmend::cpu
