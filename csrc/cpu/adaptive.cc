#include "ops/adaptive.h"

#include "cpu/launch.h"
#include "cpu/ops.h"
#include "cpu/sample.h"

namespace reelmend::cpu {
namespace {

constexpr int kGrain = 4;

// Windows that lie inside the picture; `apart` is made other than 0 where they do not, or where nothing is fetched.
template <int kAdvance>
RM_CLONES void aim_axis(int size, int first, float scale, const float* __restrict flow, int* __restrict at,
                        float* __restrict part, int* __restrict apart, int n) {
  const float last = static_cast<float>(size - 4);
  for (int i = 0; i < n; ++i) {
    const AdaptiveAxis a = adaptive_axis(size, static_cast<float>(first + i * kAdvance), flow[i], scale);
    const float within = clamp_f(a.first, 0.0f, last);
    at[i] = static_cast<int>(within);
    part[i] = a.part;
    apart[i] |= static_cast<int>(1.0f - a.inside * (within == a.first ? 1.0f : 0.0f));
  }
}

RM_CLONES int any(const int* __restrict flags, int n) {
  int found = 0;
  for (int i = 0; i < n; ++i) found |= flags[i];
  return found;
}

// Two rows of samples with their eight planes of taps.
template <class G>
RM_CLONES void mix_half(const G* __restrict upper, const G* __restrict lower, const float* const* taps,
                        const float* __restrict part, float* __restrict to, int n) {
  const float *const t0 = taps[0], *const t1 = taps[1], *const t2 = taps[2], *const t3 = taps[3];
  const float *const t4 = taps[4], *const t5 = taps[5], *const t6 = taps[6], *const t7 = taps[7];
  for (int i = 0; i < n; ++i) {
    const float left0 = mix2(t0[i], upper[i].get(0), t1[i], upper[i].get(1));
    const float right0 = mix2(t2[i], upper[i].get(2), t3[i], upper[i].get(3));
    const float left1 = mix2(t4[i], lower[i].get(0), t5[i], lower[i].get(1));
    const float right1 = mix2(t6[i], lower[i].get(2), t7[i], lower[i].get(3));
    to[i] = half_of(part[i], left0, left1, right0, right1);
  }
}

RM_CLONES void mix_halves(const float* __restrict top, const float* __restrict bottom, const float* __restrict part,
                          float* __restrict to, int n) {
  for (int i = 0; i < n; ++i) to[i] = mix2(1.0f - part[i], top[i], part[i], bottom[i]);
}

class AdaptiveChunk {
 public:
  AdaptiveChunk(const Flow& flow, const Stack<const float>& taps, int width, int height)
      : flow_(flow), taps_(taps), width_(width), height_(height), narrow_(width < 4 || height < 4) {}

  void aim(int x, int y, int n) {
    u_ = flat_row(flow_.u, x, y, buffer_[0], n);
    v_ = flat_row(flow_.v, x, y, buffer_[1], n);
    std::fill(apart_, apart_ + n, narrow_ ? 1 : 0);
    if (!narrow_) {
      aim_axis<1>(width_, x, flow_.scale, u_, x_, part_x_, apart_, n);
      aim_axis<0>(height_, y, flow_.scale, v_, y_, part_y_, apart_, n);
    }
    for (int p = 0; p < 16; ++p) of_[p] = flat_row(taps_.plane(p), x, y, strided_[p], n);
    alone_ = any(apart_, n) != 0;
  }

  template <class T>
  void sample(const Plane<const T>& in, int x, int y, float* to, int n) {
    if (!narrow_) {
      int at[kRoom];
      Group<T, 4> group[4][kRoom];
      place_row(x_, y_, in.step, in.stride, at, n);
      for (int j = 0; j < 4; ++j) fetch_row<T, 4>(in, j, at, group[j], n);
      mix_half(group[0], group[1], of_, part_x_, half_[0], n);
      mix_half(group[2], group[3], of_ + 8, part_x_, half_[1], n);
      mix_halves(half_[0], half_[1], part_y_, to, n);
    }
    if (!alone_) return;
    for (int i = 0; i < n; ++i) {
      if (!apart_[i]) continue;
      float taps[16];
      for (int p = 0; p < 16; ++p) taps[p] = of_[p][i];
      to[i] = adaptive_at(in, taps, x + i, y, adaptive_axis(width_, static_cast<float>(x + i), u_[i], flow_.scale),
                          adaptive_axis(height_, static_cast<float>(y), v_[i], flow_.scale));
    }
  }

 private:
  Flow flow_;
  Stack<const float> taps_;
  int width_, height_;
  bool narrow_, alone_ = false;
  const float *u_ = nullptr, *v_ = nullptr;
  const float* of_[16];
  int x_[kRoom], y_[kRoom], apart_[kRoom];
  float part_x_[kRoom], part_y_[kRoom], half_[2][kRoom], buffer_[2][kRoom], strided_[16][kRoom];
};

}  // namespace

template <class T>
void adaptive_warp(const Plane<const T>* in, int count, const Flow& flow, const Stack<const float>& taps,
                   float max_code, const Plane<T>* out) {
  parallel(out[0].height, kGrain, [&](int first, int last) {
    AdaptiveChunk chunk(flow, taps, in[0].width, in[0].height);
    float value[kRoom];
    for (int y = first; y < last; ++y) {
      for (int x = 0; x < out[0].width; x += kPixels) {
        const int n = std::min(kPixels, out[0].width - x);
        chunk.aim(x, y, n);
        for (int c = 0; c < count; ++c) {
          chunk.sample(in[c], x, y, value, n);
          store_row(value, out[c].row(y) + x * out[c].step, out[c].step, max_code, n);
        }
      }
    }
  });
}

#define RM_ADAPTIVE(T)                                                                                      \
  template void adaptive_warp<T>(const Plane<const T>*, int, const Flow&, const Stack<const float>&, float, \
                                 const Plane<T>*);
RM_ADAPTIVE(uint8_t)
RM_ADAPTIVE(uint16_t)
RM_ADAPTIVE(float)

}  // namespace reelmend::cpu
