// Block motion: for each block of picture a, where the window around it lies in picture b.
//
// A pyramid by halves; the coarsest level is searched whole, each finer level starts from the vectors below it, then
// blocks take over vectors of their neighbours, at last vectors get fractions. A vector is chosen by
//   cost = kSadUnit SAD + weight D
// SAD is the sum over the window of absolute differences in 8-bit levels, D the sum over the blocks around (below, in
// the first search of a level) of the distance |u - u'| + |v - v'| of their vectors, in pixels of the level. So a
// block whose picture says little follows its neighbours. Everything is counted in whole numbers, every pass reads
// the field of the pass before, and of equal costs the candidate named first wins: threads, instruction sets and
// devices give the same bytes.
//
// Pictures of a level are copied with a margin in which edges are repeated, so that no search tests for a border:
// windows may leave the picture until they only just touch it.
#pragma once

#include <cstdint>

#include "core/view.h"

// On a GPU loops over the blocks around are unrolled, or their vectors would lie in memory; the others are not.
#if defined(__CUDA_ARCH__)
#define RM_UNROLLED _Pragma("unroll")
#define RM_ROLLED _Pragma("unroll 1")
#else
#define RM_UNROLLED
#define RM_ROLLED
#endif

namespace reelmend {

constexpr int kSadUnit = 16;      // of a unit of SAD in a cost
constexpr int kBlocksAround = 9;  // blocks 3 x 3, the middle one first
constexpr int kDescent = 16;      // steps of a descent at most
constexpr int kQuarters = 4;      // vectors of the result count quarters of a pixel

// These keep costs in 32 bits.
constexpr int kMaxBlockSide = 16384;
constexpr int kMaxBlockRadius = 64;
constexpr int kMaxBlockWeight = 4096;
constexpr int kFarAway = 1 << 18;  // a distance counts for no more

// A level: its size in pixels, its blocks.
struct BlockGrid {
  int width, height;
  int columns, rows;
  int step, window;
  int weight;  // of the distance to neighbours, in costs
};

// The margin around a picture; a row of the copy begins `margin` samples before the picture.
RM_HD int block_margin(int window) {
  return window + 8;
}
RM_HD int block_pitch(int width, int window) {
  return (width + 2 * block_margin(window) + 15) / 16 * 16;
}

// Columns, rows, SAD of all blocks: three planes of rows x columns whole numbers.
struct BlockField {
  int* data;
  int columns, rows;

  RM_HD int& u(int i, int j) const { return data[j * columns + i]; }
  RM_HD int& v(int i, int j) const { return data[(rows + j) * columns + i]; }
  RM_HD int& sad(int i, int j) const { return data[(2 * rows + j) * columns + i]; }
};

struct BlockVector {
  int u, v;
};
RM_HD bool operator==(BlockVector a, BlockVector b) {
  return a.u == b.u && a.v == b.v;
}

// Where a window stands and how far it may go.
struct BlockPlace {
  int x, y;  // of the window's first sample
  int low_u, high_u, low_v, high_v;

  RM_HD BlockVector kept(BlockVector m) const {
    return {m.u < low_u ? low_u : (m.u > high_u ? high_u : m.u), m.v < low_v ? low_v : (m.v > high_v ? high_v : m.v)};
  }
  RM_HD bool holds(BlockVector m) const { return m.u >= low_u && m.u <= high_u && m.v >= low_v && m.v <= high_v; }
};

RM_HD BlockPlace block_place(const BlockGrid& g, int i, int j) {
  const int x = i * g.step - (g.window - g.step) / 2;
  const int y = j * g.step - (g.window - g.step) / 2;
  return {x, y, -g.window - x, g.width - x, -g.window - y, g.height - y};
}

RM_HD int abs_i(int a) {
  return a < 0 ? -a : a;
}

// Vectors around a block, its own first.
struct BlockAround {
  BlockVector m[kBlocksAround];

  // Whether the k-th is one of those before it. To say so changes nothing but the time, since it loses to itself; here
  // it does not pay.
  RM_HD static constexpr bool named(int) { return false; }

  RM_HD int distance(BlockVector a) const {
    int sum = 0;
    RM_UNROLLED
    for (int k = 0; k < kBlocksAround; ++k) sum += abs_i(a.u - m[k].u) + abs_i(a.v - m[k].v);
    return sum < kFarAway ? sum : kFarAway;
  }
};

RM_HD int around_x(int k) {
  return k == 0 ? 0 : (k < 5 ? k - 1 : k) % 3 - 1;
}
RM_HD int around_y(int k) {
  return k == 0 ? 0 : (k < 5 ? k - 1 : k) / 3 - 1;
}

RM_HD BlockAround block_around(const BlockField& f, int i, int j, int factor) {
  BlockAround out;
  RM_UNROLLED
  for (int k = 0; k < kBlocksAround; ++k) {
    const int x = clamp_index(i + around_x(k), f.columns);
    const int y = clamp_index(j + around_y(k), f.rows);
    out.m[k] = {f.u(x, y) * factor, f.v(x, y) * factor};
  }
  return out;
}

struct BlockMatch {
  BlockVector m;
  int sad, cost;
};

// Match: int operator()(BlockVector) is the SAD. Around: BlockAround, or what does the same faster.
template <class Match, class Around>
struct BlockSearch {
  const Match& match;
  const BlockPlace& place;
  const Around& around;
  int weight;

  RM_HD BlockMatch at(BlockVector m) const {
    const int sad = match(m);
    return {m, sad, kSadUnit * sad + weight * around.distance(m)};
  }
  RM_HD void test(BlockVector m, BlockMatch* best) const {
    if (m == best->m) return;
    const int distance = weight * around.distance(m);
    if (distance >= best->cost) return;
    const int sad = match(m);
    if (kSadUnit * sad + distance < best->cost) *best = {m, sad, kSadUnit * sad + distance};
  }

  // The vectors around, nothing, and `hint`.
  RM_HD BlockMatch candidates(BlockVector hint) const {
    BlockMatch best = at(place.kept(around.m[0]));
    RM_UNROLLED
    for (int k = 1; k < kBlocksAround; ++k) {
      if (!around.named(k)) test(place.kept(around.m[k]), &best);
    }
    test({0, 0}, &best);
    test(place.kept(hint), &best);
    return best;
  }

  // To the best of four neighbours, until none is better.
  RM_HD void descend(BlockMatch* best) const {
    BlockVector from = best->m;
    RM_ROLLED
    for (int n = 0; n < kDescent; ++n) {
      const BlockVector at = best->m;
      RM_ROLLED
      for (int k = 0; k < 4; ++k) {
        const BlockVector m{at.u + (k == 0 ? -1 : k == 1 ? 1 : 0), at.v + (k == 2 ? -1 : k == 3 ? 1 : 0)};
        if (m == from || !place.holds(m)) continue;
        test(m, best);
      }
      if (best->m == at) return;
      from = at;
    }
  }

  // The vectors around a block whose own has this SAD.
  RM_HD BlockMatch taken_over(int sad) const {
    BlockMatch best{around.m[0], sad, kSadUnit * sad + weight * around.distance(around.m[0])};
    RM_UNROLLED
    for (int k = 1; k < kBlocksAround; ++k) {
      if (!around.named(k)) test(place.kept(around.m[k]), &best);
    }
    return best;
  }

  // All vectors within `radius`, from nothing, and `hint`.
  RM_HD BlockMatch everywhere(int radius, BlockVector hint) const {
    BlockMatch best = at({0, 0});
    RM_ROLLED
    for (int v = -radius; v <= radius; ++v) {
      RM_ROLLED
      for (int u = -radius; u <= radius; ++u) {
        if (place.holds({u, v})) test({u, v}, &best);
      }
    }
    test(place.kept(hint), &best);
    return best;
  }
};

// A pixel of a level from four of the finer one.
RM_HD int mean_of_four(int a, int b, int c, int d) {
  return (a + b + c + d + 2) >> 2;
}

// A vector of a field given from outside, in pixels of the finest level, for block (i, j) of a level 2^level coarser.
RM_HD int hint_of(float pixels, int level) {
  const float finite = pixels - pixels == 0.0f ? pixels : 0.0f;
  const float most = 65536.0f;
  const float kept = min_f(max_f(finite, -most), most);
  const int quarters = static_cast<int>(kept * static_cast<float>(kQuarters) + (kept < 0.0f ? -0.5f : 0.5f));
  const int unit = kQuarters << level;
  const int up = quarters + unit / 2;
  return up >= 0 ? up / unit : -((unit - 1 - up) / unit);
}

RM_HD BlockVector hint_at(const Plane<const float>& u, const Plane<const float>& v, int i, int j, int level) {
  if (!u.data) return {0, 0};
  const int x = clamp_index((i << level) + (1 << level) / 2, u.width);
  const int y = clamp_index((j << level) + (1 << level) / 2, u.height);
  return {hint_of(u.at(x, y), level), hint_of(v.at(x, y), level)};
}

// Fractions. b is known at halves of a pixel: at the pixels; between columns and between rows, means rounded up; and
// between both, the mean, rounded down, of two of those between columns, so that roundings cancel. At a quarter it is
// the mean, rounded up, of two of these: of its two neighbours, or, odd both ways, of those two of four that lie
// between columns or between rows, but not both. That is bilinear interpolation to half a level. Four samples go in one
// word; a byte is as good.
RM_HD unsigned mean_up(unsigned a, unsigned b) {
  return (a | b) - (((a ^ b) >> 1) & 0x7f7f7f7fu);
}
RM_HD unsigned mean_down(unsigned a, unsigned b) {
  return (a & b) + (((a ^ b) >> 1) & 0x7f7f7f7fu);
}

struct HalfPlace {
  int plane;  // 0 the picture, 1 between columns, 2 between rows, 3 both
  int x, y;   // whole pixels
};
struct QuarterPlace {
  HalfPlace one, two;  // the same where no mean is taken
};
RM_HD HalfPlace half_place(int x, int y) {
  return {(x & 1) + 2 * (y & 1), x >> 1, y >> 1};
}
RM_HD QuarterPlace quarter_place(int x, int y) {
  const int left = x >> 1, right = (x + 1) >> 1, top = y >> 1, bottom = (y + 1) >> 1;
  const bool down = left == right || top == bottom || ((left + top) & 1);
  return {half_place(left, down ? top : bottom), half_place(right, down ? bottom : top)};
}

// Around `from`, eight places `reach` quarters away; costs as in BlockSearch, distances in quarters.
template <class Match, class Around>
RM_HD void fraction(const Match& match, const BlockPlace& place, const Around& around, int weight, int reach,
                    BlockMatch* best) {
  const BlockVector from = best->m;
  RM_ROLLED
  for (int k = 1; k < kBlocksAround; ++k) {
    const BlockVector m{from.u + around_x(k) * reach, from.v + around_y(k) * reach};
    if (m.u < place.low_u * kQuarters || m.u > place.high_u * kQuarters || m.v < place.low_v * kQuarters ||
        m.v > place.high_v * kQuarters) {
      continue;
    }
    const int distance = weight * around.distance(m) / kQuarters;
    if (distance >= best->cost) continue;
    const int sad = match(m);
    if (kSadUnit * sad + distance < best->cost) *best = {m, sad, kSadUnit * sad + distance};
  }
}

// The vector of a block with a fraction: halves, then quarters. `around` counts quarters.
template <class Match, class Around>
RM_HD BlockMatch with_fraction(const Match& match, const BlockPlace& place, const Around& around, int weight, int sad) {
  const BlockVector m = around.m[0];
  BlockMatch best{m, sad, kSadUnit * sad + weight * around.distance(m) / kQuarters};
  fraction(match, place, around, weight, 2, &best);
  fraction(match, place, around, weight, 1, &best);
  return best;
}

}  // namespace reelmend
