#include "ops/bilateral.h"

#include "cpu/launch.h"
#include "cpu/ops.h"
#include "cpu/sample.h"

namespace reelmend::cpu {
namespace {

constexpr int kGrain = 2;
constexpr int kReach = kPixels + 2 * kMaxBilateralRadius + 16;

// A row of neighbours: flows that are not finite are 0 and are not trusted.
RM_CLONES void clean_row(const float* __restrict u, const float* __restrict v, float* __restrict to_u,
                         float* __restrict to_v, float* __restrict trust, int n) {
  for (int i = 0; i < n; ++i) {
    const float known = is_finite(u[i]) * is_finite(v[i]);
    to_u[i] = known != 0.0f ? u[i] : 0.0f;
    to_v[i] = known != 0.0f ? v[i] : 0.0f;
    trust[i] = known;
  }
}

RM_CLONES void trust_row(const float* __restrict confidence, float* __restrict trust, int n) {
  for (int i = 0; i < n; ++i) trust[i] = trust[i] * max_f(0.0f, confidence[i]);
}

struct Sums {
  float u[kReach], v[kReach], weight[kReach];
};

RM_CLONES void place_differences(const BilateralTables t, const float* __restrict here, const float* __restrict there,
                                 int* __restrict place, int n) {
  for (int i = 0; i < n; ++i) place[i] = range_place(t, here[i] - there[i]);
}

// By plain moves: taking vectors apart and putting them together costs more.
RM_SCALAR void look_up(const float* __restrict table, const int* __restrict place, float* __restrict to, int n) {
  int i = 0;
  for (; i + 4 <= n; i += 4) {
    to[i] = table[place[i]];
    to[i + 1] = table[place[i + 1]];
    to[i + 2] = table[place[i + 2]];
    to[i + 3] = table[place[i + 3]];
  }
  for (; i < n; ++i) to[i] = table[place[i]];
}

RM_CLONES void add_neighbours(float space, const float* __restrict range, const float* __restrict u,
                              const float* __restrict v, const float* __restrict trust, float* __restrict sum_u,
                              float* __restrict sum_v, float* __restrict sum_weight, int n) {
  for (int i = 0; i < n; ++i) {
    const float w = space * range[i] * trust[i];
    sum_u[i] += w * u[i];
    sum_v[i] += w * v[i];
    sum_weight[i] += w;
  }
}

RM_CLONES void divide_row(const float* __restrict sum, const float* __restrict weight, const float* __restrict own,
                          float* __restrict to, int n) {
  for (int i = 0; i < n; ++i) to[i] = weighed(sum[i], weight[i], own[i]);
}

template <class T>
void bilateral_rows(const BilateralTables& t, const FlowField<const float>& flow, const Plane<const T>& guide,
                    const Plane<const float>& confidence, const FlowField<float>& out, int first, int last) {
  Sums sums;
  float here[kReach], there[kReach], u[kReach], v[kReach], trust[kReach], buffer[2][kReach], own[kReach], range[kRoom];
  int place[kRoom];
  const int width = guide.width, r = t.radius;
  for (int y = first; y < last; ++y) {
    for (int x = 0; x < width; x += kPixels) {
      const int n = std::min(kPixels, width - x);
      const int begin = std::max(x - r, 0), count = std::min(x + n + r, width) - begin;
      load_row(guide.row(y) + x * guide.step, guide.step, here, n);
      for (float* s : {sums.u, sums.v, sums.weight}) std::fill(s, s + n, 0.0f);
      for (int j = std::max(y - r, 0); j <= std::min(y + r, guide.height - 1); ++j) {
        const float far = t.space[std::abs(j - y)];
        load_row(guide.row(j) + begin * guide.step, guide.step, there, count);
        clean_row(flat_row(flow.u, begin, j, buffer[0], count), flat_row(flow.v, begin, j, buffer[1], count), u, v,
                  trust, count);
        if (confidence.data) trust_row(flat_row(confidence, begin, j, buffer[0], count), trust, count);
        for (int dx = -r; dx <= r; ++dx) {
          const int low = std::max(0, -(x + dx)), high = std::min(n, width - x - dx);
          if (low >= high) continue;
          const int from = x + dx + low - begin;
          place_differences(t, here + low, there + from, place, high - low);
          look_up(t.range, place, range, high - low);
          add_neighbours(far * t.space[std::abs(dx)], range, u + from, v + from, trust + from, sums.u + low,
                         sums.v + low, sums.weight + low, high - low);
        }
      }
      for (int c = 0; c < 2; ++c) {
        const Plane<const float>& from = c ? flow.v : flow.u;
        const Plane<float>& to = c ? out.v : out.u;
        float* const target = to.step == 1 ? to.row(y) + x : own;
        divide_row(c ? sums.v : sums.u, sums.weight, flat_row(from, x, y, buffer[0], n), target, n);
        if (to.step != 1) store_row(own, to.row(y) + x * to.step, to.step, 0.0f, n);
      }
    }
  }
}

}  // namespace

template <class T>
void bilateral_flow(const FlowField<const float>& flow, const Plane<const T>& guide,
                    const Plane<const float>& confidence, const BilateralTables& tables, const FlowField<float>& out) {
  parallel(guide.height, kGrain,
           [&](int first, int last) { bilateral_rows(tables, flow, guide, confidence, out, first, last); });
}

#define RM_BILATERAL(T)                                                                                            \
  template void bilateral_flow<T>(const FlowField<const float>&, const Plane<const T>&, const Plane<const float>&, \
                                  const BilateralTables&, const FlowField<float>&);
RM_BILATERAL(uint8_t)
RM_BILATERAL(uint16_t)
RM_BILATERAL(float)

}  // namespace reelmend::cpu
