#include "ops/projection.h"

#include <atomic>

#include "cpu/ops.h"
#include "cpu/scatter.h"

namespace reelmend::cpu {
namespace {

template <bool kWeighted>
using CellOf = Cell<2, kWeighted>;

RM_CLONES void back_row(const float* __restrict u, const float* __restrict v, float t, uint32_t* __restrict to, int n) {
  for (int i = 0; i < n; ++i) {
    to[2 * i] = fixed_of<float>(way_back(u[i], t));
    to[2 * i + 1] = fixed_of<float>(way_back(v[i], t));
  }
}

template <class C>
RM_CLONES void hole_row(const uint64_t* __restrict cells, uint8_t* __restrict to, int step, int n) {
  for (int i = 0; i < n; ++i) to[i * step] = cells[i * C::kSums + C::kWeight] == 0 ? 1 : 0;
}

RM_CLONES float most_of_row(const float* __restrict w, float most, int n) {
  int bits = bits_of_float(most);  // of floats that are not negative: in their order
  for (int i = 0; i < n; ++i) {
    const int here = bits_of_float(tame_metric<Splat::linear>(w[i]));
    bits = here > bits ? here : bits;
  }
  return float_of_bits(bits);
}

float most_of(const Plane<const float>& weight) {
  std::atomic<float> most = 0.0f;
  parallel(weight.height, 32, [&](int first, int last) {
    float buffer[kChunk];
    float mine = 0.0f;
    for (int y = first; y < last; ++y) {
      for (int x = 0; x < weight.width; x += kChunk) {
        const int n = std::min(kChunk, weight.width - x);
        mine = most_of_row(row_of_floats(weight, x, y, buffer, n), mine, n);
      }
    }
    float old = most.load();
    while (old < mine && !most.compare_exchange_weak(old, mine)) {
    }
  });
  return most.load();
}

// The sums of the 2 x 2 cells that end in each of a row, counted twice in the last row of the picture. The first has a
// neighbour to its left: a cell of the margin, which is 0.
template <class C>
RM_CLONES void box_row(const uint64_t* __restrict cells, const uint64_t* __restrict above, bool twice,
                       uint64_t* __restrict to, int n) {
  const uint64_t* const left = cells - C::kSums;
  const uint64_t* const above_left = above - C::kSums;
  const uint64_t again = twice ? ~uint64_t{0} : 0;
  for (int i = 0; i < n * C::kSums; ++i) {
    const uint64_t own = cells[i] + left[i];
    to[i] = own + (own & again) + (above[i] + above_left[i]);
  }
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
  const int sums = weighted ? CellOf<true>::kSums : CellOf<false>::kSums;
  return scatter_words(BandShape(width, height, sums, false), workers);
}

void project_flow(const Flow& flow, const Plane<const float>& weight, bool fill, const Plane<float>& u,
                  const Plane<float>& v, const Plane<uint8_t>& holes, int* scratch, int64_t words) {
  const auto load = [&](int x, int y, int n, uint32_t* values) {
    float buffer[2][kScatterChunk];
    back_row(row_of_floats(flow.u, x, y, buffer[0], n), row_of_floats(flow.v, x, y, buffer[1], n), flow.scale, values,
             n);
  };
  const auto run = [&](auto cell, auto mode, float most) {
    using C = decltype(cell);
    const auto store = [&](int y, const uint64_t* cells, const uint64_t* above) {
      constexpr int kRun = 128;
      uint64_t sums[kRun * C::kSums];
      float value[kRun];
      const bool last_row = y + 1 == u.height;
      for (int x = 0; x < u.width; x += kRun) {
        const int n = std::min(kRun, u.width - x);
        box_row<C>(cells + x * C::kSums, above + x * C::kSums, last_row, sums, n);
        if (x + n == u.width) {
          for (int s = 0; s < C::kSums; ++s) {
            const int last = (u.width - 1) * C::kSums + s;
            sums[(n - 1) * C::kSums + s] += (last_row ? 2 : 1) * cells[last] + above[last];
          }
        }
        write_floats(u, x, y, value, n, [&](float* to) { mean_row<C, float>(sums, 0, to, n); });
        write_floats(v, x, y, value, n, [&](float* to) { mean_row<C, float>(sums, 1, to, n); });
        hole_row<C>(sums, holes.row(y) + x * holes.step, holes.step, n);
      }
    };
    scatter<C, decltype(mode)::kValue, Box>(flow, weight, most, {scratch, words}, load, store);
  };
  if (weight.data) {
    run(CellOf<true>{}, ModeOf<Splat::linear>{}, most_of(weight));
  } else {
    run(CellOf<false>{}, ModeOf<Splat::average>{}, 0.0f);
  }
  if (!fill) return;
  parallel(u.width, 64, [&](int first, int last) { look_up_and_down(holes, u, first, last); });
  parallel(u.height, 16, [&](int first, int last) {
    for (int y = first; y < last; ++y) fill_row(holes, u, v, y);
  });
}

}  // namespace reelmend::cpu
