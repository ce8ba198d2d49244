#include "ops/blocks.h"

#include <cstring>

#include "cpu/launch.h"
#include "cpu/ops.h"

namespace reelmend::cpu {
namespace {

uint8_t mean_up(uint8_t a, uint8_t b) {
  return static_cast<uint8_t>((a + b + 1) >> 1);
}
uint8_t mean_down(uint8_t a, uint8_t b) {
  return static_cast<uint8_t>((a & b) + ((a ^ b) >> 1));
}

// The two loops that are most of the time. GCC makes psadbw and pavgb of them in the baseline already; wider registers
// hold no more of a row.
template <int kW>
__attribute__((noinline)) int sad(const uint8_t* __restrict a, int pitch_a, const uint8_t* __restrict b, int pitch_b) {
  int sum = 0;
  for (int y = 0; y < kW; ++y) {
    for (int x = 0; x < kW; ++x) sum += abs_i(a[y * pitch_a + x] - b[y * pitch_b + x]);
  }
  return sum;
}

template <int kW>
__attribute__((noinline)) int sad_of_mean(const uint8_t* __restrict a, int pitch_a, const uint8_t* __restrict b,
                                          const uint8_t* __restrict c, int pitch) {
  int sum = 0;
  for (int y = 0; y < kW; ++y) {
    uint8_t mean[kW];
    for (int x = 0; x < kW; ++x) mean[x] = mean_up(b[y * pitch + x], c[y * pitch + x]);
    for (int x = 0; x < kW; ++x) sum += abs_i(a[y * pitch_a + x] - mean[x]);
  }
  return sum;
}

template <int kW>
struct Whole {
  const uint8_t* a;
  const uint8_t* b;
  int pitch;

  int operator()(BlockVector m) const { return sad<kW>(a, pitch, b + m.v * pitch + m.u, pitch); }
};

// The halves around one place of b, from a row and a column before the window to those after it: within a pixel.
template <int kW>
class Quarter {
 public:
  Quarter(const uint8_t* a, const uint8_t* b, int pitch, BlockVector from) : a_(a), pitch_(pitch), from_(from) {
    const uint8_t* const first = b + (from.v / kQuarters - 1) * pitch + from.u / kQuarters - 1;
    for (int y = 0; y < kRows; ++y) {
      const uint8_t* __restrict const row = first + y * pitch;
      uint8_t* __restrict const whole = at_[0] + y * kPitch;
      uint8_t* __restrict const columns = at_[1] + y * kPitch;
      for (int x = 0; x < kPitch; ++x) whole[x] = row[x];
      for (int x = 0; x < kPitch; ++x) columns[x] = mean_up(row[x], row[x + 1]);
    }
    for (int n = 0; n < (kRows - 1) * kPitch; ++n) at_[2][n] = mean_up(at_[0][n], at_[0][n + kPitch]);
    for (int n = 0; n < (kRows - 1) * kPitch; ++n) at_[3][n] = mean_down(at_[1][n], at_[1][n + kPitch]);
  }

  int operator()(BlockVector m) const {
    const QuarterPlace q = quarter_place(m.u - from_.u, m.v - from_.v);
    const uint8_t* const one = sample(q.one);
    const uint8_t* const two = sample(q.two);
    return one == two ? sad<kW>(a_, pitch_, one, kPitch) : sad_of_mean<kW>(a_, pitch_, one, two, kPitch);
  }

 private:
  static constexpr int kRows = kW + 2;
  static constexpr int kPitch = kW + 8;

  const uint8_t* sample(HalfPlace h) const { return at_[h.plane] + (h.y + 1) * kPitch + h.x + 1; }

  const uint8_t* a_;
  int pitch_;
  BlockVector from_;
  alignas(16) uint8_t at_[4][kRows * kPitch];
};

// As BlockAround, quick where all vectors are alike, as most are.
class Around {
 public:
  BlockVector m[kBlocksAround];

  Around() : m{} {}  // nothing moves
  Around(const BlockField& f, int i, int j, int factor) {
    const int x[3] = {clamp_index(i - 1, f.columns), i, clamp_index(i + 1, f.columns)};
    const int y[3] = {clamp_index(j - 1, f.rows), j, clamp_index(j + 1, f.rows)};
    unsigned unlike = 0;
    for (int k = 0; k < kBlocksAround; ++k) {
      const int at = y[around_y(k) + 1] * f.columns + x[around_x(k) + 1];
      m[k] = {f.data[at] * factor, f.data[f.rows * f.columns + at] * factor};
      unlike |= static_cast<unsigned>((m[k].u ^ m[0].u) | (m[k].v ^ m[0].v));
    }
    alike_ = unlike == 0;
    named_ = (1u << kBlocksAround) - 2;
    if (alike_) return;
    for (int k = 1; k < kBlocksAround; ++k) {
      u_[k - 1] = m[k].u;
      v_[k - 1] = m[k].v;
    }
    // Bit k of named_: the k-th vector is an earlier one.
    int same[kBlocksAround - 1];
    for (int k = 0; k < kBlocksAround - 1; ++k) same[k] = (u_[k] == m[0].u) & (v_[k] == m[0].v);
    for (int l = 0; l < kBlocksAround - 2; ++l) {
      for (int k = 0; k < kBlocksAround - 1; ++k) same[k] |= (u_[k] == u_[l]) & (v_[k] == v_[l]) & (k > l);
    }
    named_ = 0;
    for (int k = 0; k < kBlocksAround - 1; ++k) named_ |= static_cast<unsigned>(same[k] & 1) << (k + 1);
  }

  bool named(int k) const { return named_ >> k & 1; }
  int distance(BlockVector a) const {
    int sum = abs_i(a.u - m[0].u) + abs_i(a.v - m[0].v);
    if (alike_) {
      sum *= kBlocksAround;
    } else {
      for (int k = 0; k < kBlocksAround - 1; ++k) sum += abs_i(a.u - u_[k]) + abs_i(a.v - v_[k]);
    }
    return sum < kFarAway ? sum : kFarAway;
  }

 private:
  int u_[kBlocksAround - 1], v_[kBlocksAround - 1];  // but the first
  unsigned named_ = 0;
  bool alike_ = true;
};

const uint8_t* picture(const uint8_t* padded, const BlockGrid& g) {
  return padded + block_margin(g.window) * (block_pitch(g.width, g.window) + 1);
}

void put(const BlockField& f, int i, int j, const BlockMatch& m) {
  f.u(i, j) = m.m.u;
  f.v(i, j) = m.m.v;
  f.sad(i, j) = m.sad;
}

template <class F>
void on_window(int window, const F& f) {
  if (window == 8) return f(std::integral_constant<int, 8>{});
  if (window == 16) return f(std::integral_constant<int, 16>{});
  f(std::integral_constant<int, 32>{});
}

// The margins of row y of a copy, and of all rows above or below where it is the first or last.
void surround(uint8_t* to, int width, int height, int window, int y) {
  const int margin = block_margin(window);
  const int pitch = block_pitch(width, window);
  uint8_t* const row = to + (margin + y) * pitch;
  std::memset(row, row[margin], static_cast<size_t>(margin));
  std::memset(row + margin + width, row[margin + width - 1], static_cast<size_t>(pitch - margin - width));
  for (int n = 1; n <= margin && y == 0; ++n) std::memcpy(row - n * pitch, row, static_cast<size_t>(pitch));
  for (int n = 1; n <= margin && y == height - 1; ++n) std::memcpy(row + n * pitch, row, static_cast<size_t>(pitch));
}

RM_CLONES void copy_row(const uint8_t* __restrict from, int step, uint8_t* __restrict to, int n) {
  for (int i = 0; i < n; ++i) to[i] = from[i * step];
}

RM_CLONES void halve_row(const uint8_t* __restrict top, const uint8_t* __restrict bottom, uint8_t* __restrict to,
                         int n) {
  for (int i = 0; i < n; ++i) {
    to[i] = static_cast<uint8_t>(mean_of_four(top[2 * i], top[2 * i + 1], bottom[2 * i], bottom[2 * i + 1]));
  }
}

}  // namespace

void block_copy(const Plane<const uint8_t>& in, int window, uint8_t* out) {
  const int margin = block_margin(window);
  const int pitch = block_pitch(in.width, window);
  parallel(in.height, 32, [&](int first, int last) {
    for (int y = first; y < last; ++y) {
      uint8_t* const to = out + (margin + y) * pitch + margin;
      if (in.step == 1) {
        std::memcpy(to, in.row(y), static_cast<size_t>(in.width));
      } else {
        copy_row(in.row(y), in.step, to, in.width);
      }
      surround(out, in.width, in.height, window, y);
    }
  });
}

void block_halve(const uint8_t* in, int width, int height, int window, uint8_t* out) {
  const int margin = block_margin(window);
  const int from = block_pitch(width, window);
  const int small = (width + 1) / 2;
  const int to = block_pitch(small, window);
  parallel((height + 1) / 2, 32, [&](int first, int last) {
    for (int y = first; y < last; ++y) {
      const uint8_t* const row = in + (margin + 2 * y) * from + margin;
      halve_row(row, row + from, out + (margin + y) * to + margin, small);
      surround(out, small, (height + 1) / 2, window, y);
    }
  });
}

void block_search(const uint8_t* a, const uint8_t* b, const BlockGrid& g, const BlockField& coarse,
                  const Plane<const float>& hint_u, const Plane<const float>& hint_v, int level, int radius,
                  const BlockField& out) {
  const int pitch = block_pitch(g.width, g.window);
  on_window(g.window, [&](auto window) {
    constexpr int kW = decltype(window)::value;
    parallel(g.rows, 1, [&](int first, int last) {
      Around around;
      for (int j = first; j < last; ++j) {
        for (int i = 0; i < g.columns; ++i) {
          const BlockPlace place = block_place(g, i, j);
          const int at = place.y * pitch + place.x;
          const Whole<kW> match{picture(a, g) + at, picture(b, g) + at, pitch};
          if (coarse.data && i % 2 == 0) {  // the next lies on the same one
            around = Around(coarse, i / 2, j / 2, 2);
          }
          const BlockSearch<Whole<kW>, Around> search{match, place, around, g.weight};
          const BlockVector hint = hint_at(hint_u, hint_v, i, j, level);
          BlockMatch best = coarse.data ? search.candidates(hint) : search.everywhere(radius, hint);
          search.descend(&best);
          put(out, i, j, best);
        }
      }
    });
  });
}

void block_spread(const uint8_t* a, const uint8_t* b, const BlockGrid& g, const BlockField& in, const BlockField& out) {
  const int pitch = block_pitch(g.width, g.window);
  on_window(g.window, [&](auto window) {
    constexpr int kW = decltype(window)::value;
    parallel(g.rows, 1, [&](int first, int last) {
      for (int j = first; j < last; ++j) {
        for (int i = 0; i < g.columns; ++i) {
          const BlockPlace place = block_place(g, i, j);
          const int at = place.y * pitch + place.x;
          const Whole<kW> match{picture(a, g) + at, picture(b, g) + at, pitch};
          const Around around(in, i, j, 1);
          const BlockSearch<Whole<kW>, Around> search{match, place, around, g.weight};
          put(out, i, j, search.taken_over(in.sad(i, j)));
        }
      }
    });
  });
}

void block_fractions(const uint8_t* a, const uint8_t* b, const BlockGrid& g, const BlockField& in,
                     const Plane<float>& u, const Plane<float>& v, const Plane<float>& cost) {
  const int pitch = block_pitch(g.width, g.window);
  on_window(g.window, [&](auto window) {
    constexpr int kW = decltype(window)::value;
    parallel(g.rows, 1, [&](int first, int last) {
      for (int j = first; j < last; ++j) {
        for (int i = 0; i < g.columns; ++i) {
          const BlockPlace place = block_place(g, i, j);
          const int at = place.y * pitch + place.x;
          const Around around(in, i, j, kQuarters);
          const Quarter<kW> match(picture(a, g) + at, picture(b, g) + at, pitch, around.m[0]);
          const BlockMatch best = with_fraction(match, place, around, g.weight, in.sad(i, j));
          u.at(i, j) = static_cast<float>(best.m.u) * (1.0f / kQuarters);
          v.at(i, j) = static_cast<float>(best.m.v) * (1.0f / kQuarters);
          cost.at(i, j) = static_cast<float>(best.sad) * (1.0f / (kW * kW));
        }
      }
    });
  });
}

}  // namespace reelmend::cpu
