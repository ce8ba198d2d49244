#include "ops/dense.h"

#include "cpu/launch.h"
#include "cpu/ops.h"

namespace reelmend::cpu {
namespace {

constexpr int kGrain = 2;

void pad_plane(const Plane<const uint8_t>& in, const Padded<float>& out) {
  const int width = in.width;
  parallel(in.height, 32, [&](int first, int last) {
    for (int y = first; y < last; ++y) {
      float* const row = out.at(0, y);
      load_row(in.row(y), in.step, row, width);
      std::fill(row - kPadBefore, row, row[0]);
      std::fill(row + width, row + width + kPadAfter, row[width - 1]);
      const size_t bytes = sizeof(float) * static_cast<size_t>(width + kPadBefore + kPadAfter);
      if (y == 0) {
        for (int i = 1; i <= kPadBefore; ++i) std::memcpy(out.at(-kPadBefore, -i), row - kPadBefore, bytes);
      }
      if (y == in.height - 1) {
        for (int i = 1; i <= kPadAfter; ++i) std::memcpy(out.at(-kPadBefore, y + i), row - kPadBefore, bytes);
      }
    }
  });
}

constexpr int kSamples = 3 * kPatch * kPatch;

// A column of a patch's samples and gradients, stored row after row.
struct Lane {
  float* __restrict samples;
  int lane;
  RM_HD float& a(int r) const { return samples[r * kPatch + lane]; }
  RM_HD float& x(int r) const { return samples[kPatch * kPatch + r * kPatch + lane]; }
  RM_HD float& y(int r) const { return samples[2 * kPatch * kPatch + r * kPatch + lane]; }
};

struct Differences {
  const Padded<const float>& b;
  float* samples;
  int x, y, width, height;

  RM_HD DifferenceSums operator()(float u, float v) const {
    const PatchAim aim = aim_patch(x, y, u, v, width, height);
    const float* const p = b.at(aim.x, aim.y);
    float d[kPatch], dd[kPatch], dx[kPatch], dy[kPatch];
    for (int l = 0; l < kPatch; ++l) {
      const DifferenceSums s = lane_differences(p + l, b.stride, aim, Lane{samples, l});
      d[l] = s.d;
      dd[l] = s.dd;
      dx[l] = s.dx;
      dy[l] = s.dy;
    }
    return {sum_lanes(d), sum_lanes(dd), sum_lanes(dx), sum_lanes(dy)};
  }
};

RM_HD Descent prepare(const float* a, int stride, float* samples) {
  float x[kPatch], y[kPatch], xx[kPatch], xy[kPatch], yy[kPatch];
  for (int l = 0; l < kPatch; ++l) {
    const GradientSums s = lane_gradients(a + l, stride, Lane{samples, l});
    x[l] = s.x;
    y[l] = s.y;
    xx[l] = s.xx;
    xy[l] = s.xy;
    yy[l] = s.yy;
  }
  return make_descent({sum_lanes(x), sum_lanes(y), sum_lanes(xx), sum_lanes(xy), sum_lanes(yy)});
}

RM_CLONES void search_row(const Search k, const Coarser c, const Padded<const float> a, const Padded<const float> b,
                          int j, const PatchGrid<float> to) {
  float samples[kSamples];
  const int y = patch_place(j, k.height, k.stride);
  for (int i = 0; i < k.columns; ++i) {
    const int x = patch_place(i, k.width, k.stride);
    const Descent g = prepare(a.at(x, y), a.stride, samples);
    to.set(i, j, search_from(k, coarser_start(c, x, y), g, Differences{b, samples, x, y, k.width, k.height}));
  }
}

RM_CLONES void search_row_again(const Search k, const PatchGrid<const float> found, const Padded<const float> a,
                                const Padded<const float> b, int j, const PatchGrid<float> to) {
  float samples[kSamples];
  const int y = patch_place(j, k.height, k.stride);
  for (int i = 0; i < k.columns; ++i) {
    if (alike_around(found, i, j)) {
      to.set(i, j, found.get(i, j));
      continue;
    }
    const int x = patch_place(i, k.width, k.stride);
    const Descent g = prepare(a.at(x, y), a.stride, samples);
    to.set(i, j, search_again(k, found, i, j, g, Differences{b, samples, x, y, k.width, k.height}));
  }
}

constexpr int kWide = kChunk + 2 * kPatch;

struct Sums {
  float u[kWide], v[kWide], weight[kWide];
};

// Row y of the picture under the j-th row of patches. Sums begin at pixel `from`.
RM_CLONES void add_patches(const Search k, const Padded<const float> a, const Padded<const float> b,
                           const PatchGrid<const float> found, int j, int y, int begin, int end, int from,
                           float* __restrict sum_u, float* __restrict sum_v, float* __restrict sum_weight) {
  const int turns = patch_turns(k.stride);
  const int top = patch_place(j, k.height, k.stride);
  const float* const row = a.at(0, y);
  for (int turn = 0; turn < turns; ++turn) {
    for (int i = first_of_turn(begin, turn, turns); i < end; i += turns) {
      const int x = patch_place(i, k.width, k.stride);
      const PatchVector p = found.get(i, j);
      const PatchAim aim = aim_patch(x, top, p.u, p.v, k.width, k.height);
      const float* const there = b.at(aim.x, aim.y + (y - top));
      float* const tu = sum_u + (x - from);
      float* const tv = sum_v + (x - from);
      float* const tw = sum_weight + (x - from);
      for (int l = 0; l < kPatch; ++l) {
        const float w = vector_weight(there + l, b.stride, aim, p.mean, row[x + l]);
        tu[l] += w * p.u;
        tv[l] += w * p.v;
        tw[l] += w;
      }
    }
  }
}

RM_CLONES void divide_row(const float* __restrict sum, const float* __restrict weight, float* __restrict to, int n) {
  for (int i = 0; i < n; ++i) to[i] = sum[i] / weight[i];
}

}  // namespace

void dense_level(const Plane<const uint8_t>& a, const Plane<const uint8_t>& b, const Coarser& coarser,
                 const Search& search, int rounds, const Padded<float>& padded_a, const Padded<float>& padded_b,
                 const PatchGrid<float>& patches, const PatchGrid<float>& others, const FlowField<float>& out) {
  pad_plane(a, padded_a);
  pad_plane(b, padded_b);
  const Padded<const float> from{padded_a.data, padded_a.stride}, to{padded_b.data, padded_b.stride};
  const PatchGrid<float>* now = &patches;
  const PatchGrid<float>* next = &others;
  parallel(search.rows, kGrain, [&](int first, int last) {
    for (int j = first; j < last; ++j) search_row(search, coarser, from, to, j, *now);
  });
  for (int round = 1; round < rounds; ++round) {
    const PatchGrid<const float> found{now->data, now->columns, now->rows};
    parallel(search.rows, kGrain, [&](int first, int last) {
      for (int j = first; j < last; ++j) search_row_again(search, found, from, to, j, *next);
    });
    std::swap(now, next);
  }
  const PatchGrid<const float> found{now->data, now->columns, now->rows};
  parallel(search.height, kPatch, [&](int first, int last) {
    Sums sums;
    float value[kChunk];
    for (int y = first; y < last; ++y) {
      for (int x = 0; x < search.width; x += kChunk) {
        const int n = std::min(kChunk, search.width - x);
        const int origin = x - kPatch;  // patches reach beyond the chunk on both sides
        for (float* s : {sums.u, sums.v, sums.weight}) std::fill(s, s + n + 2 * kPatch, 0.0f);
        const int begin = first_patch(x, search.columns, search.stride);
        int end = begin;
        while (end < search.columns && patch_place(end, search.width, search.stride) < x + n) ++end;
        for (int j = first_patch(y, search.rows, search.stride);
             j < search.rows && patch_place(j, search.height, search.stride) <= y; ++j) {
          add_patches(search, from, to, found, j, y, begin, end, origin, sums.u, sums.v, sums.weight);
        }
        for (int c = 0; c < 2; ++c) {
          const Plane<float>& plane = c ? out.v : out.u;
          divide_row((c ? sums.v : sums.u) + kPatch, sums.weight + kPatch, value, n);
          store_row(value, plane.row(y) + x * plane.step, plane.step, 0.0f, n);
        }
      }
    }
  });
}

}  // namespace reelmend::cpu
