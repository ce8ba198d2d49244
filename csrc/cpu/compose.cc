#include "ops/compose.h"

#include <cstring>
#include <limits>

#include "cpu/between.h"
#include "cpu/launch.h"
#include "cpu/ops.h"
#include "cpu/sample.h"

namespace reelmend::cpu {
namespace {

constexpr int kGrain = 8;

RM_CLONES void add_row(float weight, const float* __restrict value, float* __restrict sum, int n) {
  for (int i = 0; i < n; ++i) sum[i] = add_term(sum[i], weight, value[i]);
}

RM_CLONES void add_row(const float* __restrict weight, const float* __restrict value, float* __restrict sum, int n) {
  for (int i = 0; i < n; ++i) sum[i] = add_term(sum[i], weight[i], value[i]);
}

// Flows and weights of all terms over a chunk of columns, in the size of the planes.
class Fields {
 public:
  void begin(const Flow& flow, int x, int n, int width, int height) {
    taps_.aim(x, n, flow.u.width, width);
    height_ = height;
    across_ = static_cast<float>(width) / static_cast<float>(flow.u.width);
    down_ = static_cast<float>(height) / static_cast<float>(flow.u.height);
    for (auto& term : rows_) {
      for (auto& rows : term) rows.begin();
    }
  }
  void read(int k, const Flow& f, int y) {
    rows_[k][0].row(f.u, taps_, y, height_, across_, u);
    rows_[k][1].row(f.v, taps_, y, height_, down_, v);
  }
  const float* weight(int k, const Plane<const float>& map, int y) {
    rows_[k][2].row(map, taps_, y, height_, 1.0f, w_);
    return w_;
  }

  float u[kRoom], v[kRoom];  // of the term read last

 private:
  ColumnTaps taps_;
  int height_ = 0;
  float across_ = 1.0f, down_ = 1.0f;
  BetweenRows<kRoom> rows_[kMaxTerms][3];
  float w_[kRoom];
};

}  // namespace

template <class T>
void compose(const Terms<T>& in, Sampler sampler, float max_code, const Plane<T>* out) {
  with_sampler(sampler, [&](auto s) {
    const int width = out[0].width, height = out[0].height;
    parallel(height, kGrain, [&](int first, int last) {
      Chunk<decltype(s)> chunk(width, height);
      Fields fields;
      float sum[kMaxPlanes][kRoom], value[kRoom];
      for (int x = 0; x < width; x += kPixels) {
        const int n = std::min(kPixels, width - x);
        fields.begin(in.term[0].flow, x, n, width, height);
        for (int y = first; y < last; ++y) {
          for (int c = 0; c < in.planes; ++c) std::fill(sum[c], sum[c] + n, 0.0f);
          for (int k = 0; k < in.count; ++k) {
            const Term<T>& term = in.term[k];
            fields.read(k, term.flow, y);
            chunk.aim_rows(fields.u, fields.v, term.flow.scale, x, y, n);
            const float* const w = term.weight.map.data ? fields.weight(k, term.weight.map, y) : nullptr;
            for (int c = 0; c < in.planes; ++c) {
              chunk.sample(term.plane[c], value, n);
              w ? add_row(w, value, sum[c], n) : add_row(term.weight.value, value, sum[c], n);
            }
          }
          for (int c = 0; c < in.planes; ++c) {
            store_row(sum[c], out[c].row(y) + x * out[c].step, out[c].step, max_code, n);
          }
        }
      }
    });
  });
}

template void compose<uint8_t>(const Terms<uint8_t>&, Sampler, float, const Plane<uint8_t>*);
template void compose<uint16_t>(const Terms<uint16_t>&, Sampler, float, const Plane<uint16_t>*);
template void compose<float>(const Terms<float>&, Sampler, float, const Plane<float>*);

namespace {

RM_CLONES void trace_row(const Tracing r, const float* __restrict fu, const float* __restrict fv,
                         const float* __restrict bu, const float* __restrict bv, float* __restrict u,
                         float* __restrict v, int n) {
  for (int i = 0; i < n; ++i) traced(r, fu[i], fv[i], bu[i], bv[i], u + i, v + i);
}

RM_CLONES void negate_row(const float* __restrict from, float* __restrict to, int n) {
  for (int i = 0; i < n; ++i) to[i] = -from[i];
}

RM_CLONES void sum_rows(const float* __restrict a, const float* __restrict b, float* __restrict to, int n) {
  for (int i = 0; i < n; ++i) to[i] = a[i] + b[i];
}

}  // namespace

void trace(const FlowField<const float>& flow, const FlowField<const float>& beyond, const Tracing& rule,
           const FlowField<float>& to_first, const FlowField<float>& to_second) {
  const int width = flow.u.width;
  parallel(flow.u.height, kGrain, [&](int first, int last) {
    Chunk<SamplerOf<Filter::bilinear, Border::edge>> chunk(width, flow.u.height);
    float f[2][kRoom], b[2][kRoom], u[2][kRoom], end[2][kRoom];
    for (int y = first; y < last; ++y) {
      for (int x = 0; x < width; x += kPixels) {
        const int n = std::min(kPixels, width - x);
        load_row(flow.u.row(y) + x * flow.u.step, flow.u.step, f[0], n);
        load_row(flow.v.row(y) + x * flow.v.step, flow.v.step, f[1], n);
        if (beyond.u.data) {
          load_row(beyond.u.row(y) + x * beyond.u.step, beyond.u.step, b[0], n);
          load_row(beyond.v.row(y) + x * beyond.v.step, beyond.v.step, b[1], n);
        }
        for (int step = 0; step <= rule.steps; ++step) {
          if (step > 0) {
            chunk.aim_rows(u[0], u[1], 1.0f, x, y, n);
            chunk.sample_pair(flow.u, flow.v, f[0], f[1], n);
            if (beyond.u.data) chunk.sample_pair(beyond.u, beyond.v, b[0], b[1], n);
          }
          if (!beyond.u.data) {
            negate_row(f[0], b[0], n);
            negate_row(f[1], b[1], n);
          }
          trace_row(rule, f[0], f[1], b[0], b[1], u[0], u[1], n);
        }
        for (int c = 0; c < 2; ++c) {
          const Plane<float>& one = c ? to_first.v : to_first.u;
          const Plane<float>& two = c ? to_second.v : to_second.u;
          sum_rows(u[c], f[c], end[c], n);
          store_row(u[c], one.row(y) + x * one.step, one.step, 0.0f, n);
          store_row(end[c], two.row(y) + x * two.step, two.step, 0.0f, n);
        }
      }
    }
  });
}

namespace {

RM_CLONES int largest(const uint8_t* __restrict from, int n) {
  uint8_t most = 0;
  for (int i = 0; i < n; ++i) most = most < from[i] ? from[i] : most;
  return most;
}

RM_CLONES int any_moving(const OverlayRule r, const float* __restrict u, const float* __restrict v, int n) {
  int found = 0;
  for (int i = 0; i < n; ++i) found |= moves(r, u[i], v[i]);
  return found;
}

template <class T>
RM_CLONES void widen_range(const T* __restrict from, int step, T* __restrict low, T* __restrict high, int n) {
  for (int i = 0; i < n; ++i) {
    const T value = from[i * step];
    low[i] = value < low[i] ? value : low[i];
    high[i] = high[i] < value ? value : high[i];
  }
}

template <class T>
RM_CLONES void range_row(const T* __restrict low, const T* __restrict high, int* __restrict range, int n) {
  for (int i = 0; i < n; ++i) {
    T least = low[i], most = high[i];
    for (int k = 1; k <= 2 * kAround; ++k) {
      least = low[i + k] < least ? low[i + k] : least;
      most = most < high[i + k] ? high[i + k] : most;
    }
    range[i] = most - least;
  }
}

template <class T>
RM_CLONES void count_row(const OverlayRule r, const T* __restrict a, int step_a, const T* __restrict b, int step_b,
                         const int* __restrict range, const float* __restrict u, const float* __restrict v,
                         uint8_t* __restrict count, int n) {
  for (int i = 0; i < n; ++i) {
    const int change = static_cast<int>(b[i * step_b]) - static_cast<int>(a[i * step_a]);
    count[i] = static_cast<uint8_t>(overlay_count(r, count[i], change, range[i], u[i], v[i]));
  }
}

}  // namespace

template <class T>
void overlay(const Plane<const T>& a, const Plane<const T>& b, const FlowField<const float>& flow,
             const OverlayRule& rule, const Plane<uint8_t>& count) {
  const float across = static_cast<float>(a.width) / static_cast<float>(flow.u.width);
  const float down = static_cast<float>(a.height) / static_cast<float>(flow.u.height);
  parallel(a.height, kGrain, [&](int first, int last) {
    ColumnTaps taps;
    BetweenRows<kRoom> along, aside;
    T low[kRoom], high[kRoom];
    int range[kRoom], none[kRoom] = {};
    float u[kRoom], v[kRoom];
    for (int x = 0; x < a.width; x += kPixels) {
      const int n = std::min(kPixels, a.width - x);
      taps.aim(x, n, flow.u.width, a.width);
      along.begin();
      aside.begin();
      const int left = std::min(x, kAround), right = std::min(a.width - x - n, kAround);
      for (int y = first; y < last; ++y) {
        along.row(flow.u, taps, y, a.height, across, u);
        aside.row(flow.v, taps, y, a.height, down, v);
        const T* const one = a.row(y) + x * a.step;
        const T* const two = b.row(y) + x * b.step;
        if (!any_moving(rule, u, v, n)) {  // nothing is added then, whatever the ranges
          if (largest(count.row(y) + x, n) > 0)
            count_row(rule, one, a.step, two, b.step, none, u, v, count.row(y) + x, n);
          continue;
        }
        const int span = left + n + right;
        T* const near_low = low + kAround - left;
        T* const near_high = high + kAround - left;
        std::fill(near_low, near_low + span, std::numeric_limits<T>::max());
        std::fill(near_high, near_high + span, T{0});
        for (int j = std::max(0, y - kAround); j <= std::min(a.height - 1, y + kAround); ++j) {
          widen_range(a.row(j) + (x - left) * a.step, a.step, near_low, near_high, span);
        }
        for (int k = left; k < kAround; ++k)
          low[kAround - 1 - k] = low[kAround - left], high[kAround - 1 - k] = high[kAround - left];
        for (int k = right; k < kAround; ++k)
          low[kAround + n + k] = low[kAround + n + right - 1], high[kAround + n + k] = high[kAround + n + right - 1];
        range_row(low, high, range, n);
        count_row(rule, one, a.step, two, b.step, range, u, v, count.row(y) + x, n);
      }
    }
  });
}

template void overlay<uint8_t>(const Plane<const uint8_t>&, const Plane<const uint8_t>&, const FlowField<const float>&,
                               const OverlayRule&, const Plane<uint8_t>&);
template void overlay<uint16_t>(const Plane<const uint16_t>&, const Plane<const uint16_t>&,
                                const FlowField<const float>&, const OverlayRule&, const Plane<uint8_t>&);

namespace {

RM_CLONES void most_of(const uint8_t* __restrict from, uint8_t* __restrict most, int n) {
  for (int i = 0; i < n; ++i) most[i] = most[i] < from[i] ? from[i] : most[i];
}

// The most of each count and of those beside it.
RM_CLONES void widen_counts(const uint8_t* __restrict most, uint8_t* __restrict wide, int n) {
  for (int i = 1; i + 1 < n; ++i) {
    const uint8_t beside = most[i - 1] < most[i + 1] ? most[i + 1] : most[i - 1];
    wide[i] = beside < most[i] ? most[i] : beside;
  }
  const int last = n - 1, near = n > 1 ? 1 : 0;
  wide[0] = most[0] < most[near] ? most[near] : most[0];
  wide[last] = most[last] < most[last - near] ? most[last - near] : most[last];
}

template <bool kFlat, class T>
RM_CLONES void choose_row(const uint8_t* __restrict count, uint8_t least, const T* __restrict from, int from_step,
                          T* __restrict to, int step, int n) {
  if constexpr (kFlat) from_step = step = 1;
  for (int i = 0; i < n; ++i) to[i * step] = count[i] >= least ? from[i * from_step] : to[i * step];
}

}  // namespace

template <class T>
void lay_over(const Plane<const T>& source, const Plane<const uint8_t>& count, int least, const Plane<T>& out) {
  if (least > 255) return;
  const auto enough = static_cast<uint8_t>(least);
  parallel(out.height, kGrain, [&](int first, int last) {
    uint8_t most[2 * kRoom], wide[2 * kRoom], own[kRoom];
    int low[kRoom], high[kRoom];  // of the counts that a sample covers: at most three
    for (int x = 0; x < out.width; x += kPixels) {
      const int n = std::min(kPixels, out.width - x);
      const int begin = cover_of(x, out.width, count.width).first;
      const int counts = cover_of(x + n - 1, out.width, count.width).last + 1 - begin;
      for (int i = 0; i < n; ++i) {
        low[i] = (x + i) * count.width / out.width - begin;
        high[i] = ((x + i + 1) * count.width - 1) / out.width - begin;
      }
      for (int y = first; y < last; ++y) {
        const Cover rows = cover_of(y, out.height, count.height);
        std::memcpy(most, count.row(rows.first) + begin, static_cast<size_t>(counts));
        for (int j = rows.first + 1; j <= rows.last; ++j) most_of(count.row(j) + begin, most, counts);
        if (largest(most, counts) < least) continue;
        widen_counts(most, wide, counts);
        const uint8_t* chosen = wide + low[0];
        if (count.width != out.width) {
          for (int i = 0; i < n; ++i) own[i] = std::max(wide[low[i]], wide[high[i]]);
          chosen = own;
        }
        const T* const from = source.row(y) + x * source.step;
        T* const to = out.row(y) + x * out.step;
        if (source.step == 1 && out.step == 1) {
          choose_row<true>(chosen, enough, from, 1, to, 1, n);
        } else {
          choose_row<false>(chosen, enough, from, source.step, to, out.step, n);
        }
      }
    }
  });
}

template void lay_over<uint8_t>(const Plane<const uint8_t>&, const Plane<const uint8_t>&, int, const Plane<uint8_t>&);
template void lay_over<uint16_t>(const Plane<const uint16_t>&, const Plane<const uint8_t>&, int,
                                 const Plane<uint16_t>&);

}  // namespace reelmend::cpu
