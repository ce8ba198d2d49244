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

// A column of a patch's samples and gradients, stored row after row.
struct Lane {
  float* __restrict samples;
  int lane;
  RM_HD float& a(int r) const { return samples[r * kPatch + lane]; }
  RM_HD float& x(int r) const { return samples[64 + r * kPatch + lane]; }
  RM_HD float& y(int r) const { return samples[128 + r * kPatch + lane]; }
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

RM_CLONES void search_row(const Search k, const Coarser c, const Padded<const float> a, const Padded<const float> b,
                          int y, float* __restrict to_u, float* __restrict to_v, float* __restrict to_mean) {
  alignas(64) float samples[3 * kPatch * kPatch];
  for (int i = 0; i < k.columns; ++i) {
    const int x = patch_place(i, k.width, k.stride);
    float sx[kPatch], sy[kPatch], sxx[kPatch], sxy[kPatch], syy[kPatch];
    const float* const p = a.at(x, y);
    for (int l = 0; l < kPatch; ++l) {
      const GradientSums s = lane_gradients(p + l, a.stride, Lane{samples, l});
      sx[l] = s.x;
      sy[l] = s.y;
      sxx[l] = s.xx;
      sxy[l] = s.xy;
      syy[l] = s.yy;
    }
    const Descent g = make_descent({sum_lanes(sx), sum_lanes(sy), sum_lanes(sxx), sum_lanes(sxy), sum_lanes(syy)});
    const PatchVector found = search_patch(k, c, g, x, y, Differences{b, samples, x, y, k.width, k.height});
    to_u[i] = found.u;
    to_v[i] = found.v;
    to_mean[i] = found.mean;
  }
}

constexpr int kWide = kChunk + 2 * kPatch;

struct Sums {
  float u[kWide], v[kWide], weight[kWide];
};

// Row y of the picture under the patches of one row, whose tops are at `top`. Sums begin at pixel `from`.
RM_CLONES void add_patches(const Search& k, const Padded<const float>& a, const Padded<const float>& b,
                           const float* __restrict u, const float* __restrict v, const float* __restrict mean, int top,
                           int y, int begin, int end, int from, float* __restrict sum_u, float* __restrict sum_v,
                           float* __restrict sum_weight) {
  const int turns = patch_turns(k.stride);
  const float* const row = a.at(0, y);
  for (int turn = 0; turn < turns; ++turn) {
    for (int i = first_of_turn(begin, turn, turns); i < end; i += turns) {
      const int x = patch_place(i, k.width, k.stride);
      const PatchAim aim = aim_patch(x, top, u[i], v[i], k.width, k.height);
      const float* const p = b.at(aim.x, aim.y + (y - top));
      const float pu = u[i], pv = v[i], m = mean[i];
      float* const tu = sum_u + (x - from);
      float* const tv = sum_v + (x - from);
      float* const tw = sum_weight + (x - from);
      for (int l = 0; l < kPatch; ++l) {
        const float w = vector_weight(p + l, b.stride, aim, m, row[x + l]);
        tu[l] += w * pu;
        tv[l] += w * pv;
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
                 const Search& search, const Padded<float>& padded_a, const Padded<float>& padded_b,
                 const PatchGrid<float>& patches, const FlowField<float>& out) {
  pad_plane(a, padded_a);
  pad_plane(b, padded_b);
  const Padded<const float> from{padded_a.data, padded_a.stride}, to{padded_b.data, padded_b.stride};
  parallel(search.rows, kGrain, [&](int first, int last) {
    for (int j = first; j < last; ++j) {
      search_row(search, coarser, from, to, patch_place(j, search.height, search.stride), patches.row(0, j),
                 patches.row(1, j), patches.row(2, j));
    }
  });
  parallel(search.height, 8, [&](int first, int last) {
    Sums sums;
    float value[kChunk];
    for (int y = first; y < last; ++y) {
      for (int x = 0; x < search.width; x += kChunk) {
        const int n = std::min(kChunk, search.width - x);
        const int origin = x - kPatch;
        for (float* s : {sums.u, sums.v, sums.weight}) std::fill(s, s + n + 2 * kPatch, 0.0f);
        const int begin = first_patch(x, search.columns, search.stride);
        int end = begin;
        while (end < search.columns && patch_place(end, search.width, search.stride) < x + n) ++end;
        for (int j = first_patch(y, search.rows, search.stride); j < search.rows; ++j) {
          const int top = patch_place(j, search.height, search.stride);
          if (top > y) break;
          add_patches(search, from, to, patches.row(0, j), patches.row(1, j), patches.row(2, j), top, y, begin, end,
                      origin, sums.u, sums.v, sums.weight);
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
