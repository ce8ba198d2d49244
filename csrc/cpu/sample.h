// How CPU launchers sample planes along a flow: chunks of a row through short loops, as in launch.h. The windows of a
// chunk are aimed once, then any number of planes is fetched there by plain moves and mixed by vectors.
#pragma once

#include <cstring>

#include "cpu/launch.h"
#include "ops/warp.h"

namespace reelmend::cpu {

// N neighbours of a row, moved as one word: of integers in one register, so that taking them apart needs no shuffles.
template <class Word, int kBits>
struct Packed {
  Word word;
  void set(int k, unsigned sample) { word = static_cast<Word>(word | static_cast<Word>(sample) << (k * kBits)); }
  RM_HD float get(int k) const {
    return static_cast<float>(static_cast<int>(word >> (k * kBits) & ((1 << kBits) - 1)));
  }
};
template <int N>
struct Floats {
  float sample[N];
  void set(int k, float value) { sample[k] = value; }
  RM_HD float get(int k) const { return sample[k]; }
};
template <class T, int N>
struct GroupOf {
  using type = Floats<N>;
};
template <>
struct GroupOf<uint8_t, 2> {
  using type = Packed<uint16_t, 8>;
};
template <>
struct GroupOf<uint8_t, 4> {
  using type = Packed<uint32_t, 8>;
};
template <>
struct GroupOf<uint16_t, 2> {
  using type = Packed<uint32_t, 16>;
};
template <>
struct GroupOf<uint16_t, 4> {
  using type = Packed<uint64_t, 16>;
};
template <class T, int N>
using Group = typename GroupOf<T, N>::type;

// Keeps GCC from packing loads into vectors, sample by sample, where plain moves are faster.
#if defined(__GNUC__) && !defined(__clang__)
#define RM_SCALAR __attribute__((optimize("no-tree-vectorize", "no-tree-slp-vectorize")))
#else
#define RM_SCALAR
#endif

// Groups from scattered places, by plain moves: they beat the gather instruction on the machine measured.
template <class T, int N>
static RM_SCALAR void fetch(const T* __restrict from, const int* __restrict at, Group<T, N>* __restrict to, int n) {
  static_assert(sizeof(Group<T, N>) == N * sizeof(T));
  int i = 0;
  for (; i + 4 <= n; i += 4) {
    std::memcpy(to + i, from + at[i], N * sizeof(T));
    std::memcpy(to + i + 1, from + at[i + 1], N * sizeof(T));
    std::memcpy(to + i + 2, from + at[i + 2], N * sizeof(T));
    std::memcpy(to + i + 3, from + at[i + 3], N * sizeof(T));
  }
  for (; i < n; ++i) std::memcpy(to + i, from + at[i], N * sizeof(T));
}

// The same where neighbours are not side by side, or are fewer than N.
template <class T, int N>
static void fetch(const T* __restrict from, const int* __restrict at, const Plane<const T>& in,
                  Group<T, N>* __restrict to, int n) {
  for (int i = 0; i < n; ++i) {
    Group<T, N> group{};
    for (int k = 0; k < N; ++k) group.set(k, from[at[i] + window_offset(k, in.width, in.step)]);
    to[i] = group;
  }
}

template <class T, int N>
static void fetch_row(const Plane<const T>& in, int row, const int* at, Group<T, N>* to, int n) {
  const T* const from = in.data + window_offset(row, in.height, in.stride);
  if (in.step == 1 && in.width >= N) return fetch<T, N>(from, at, to, n);
  fetch<T, N>(from, at, in, to, n);
}

// Four bytes of a window of two by two, in one word.
static RM_SCALAR void fetch_four(const uint8_t* __restrict from, int down, const int* __restrict at,
                                 Group<uint8_t, 4>* __restrict to, int n) {
  const uint8_t* const below = from + down;
  const auto pair = [](const uint8_t* p) {
    uint16_t word;
    std::memcpy(&word, p, 2);
    return static_cast<uint32_t>(word);
  };
  int i = 0;
  for (; i + 4 <= n; i += 4) {
    const int a = at[i], b = at[i + 1], c = at[i + 2], d = at[i + 3];
    to[i].word = pair(from + a) | pair(below + a) << 16;
    to[i + 1].word = pair(from + b) | pair(below + b) << 16;
    to[i + 2].word = pair(from + c) | pair(below + c) << 16;
    to[i + 3].word = pair(from + d) | pair(below + d) << 16;
  }
  for (; i < n; ++i) to[i].word = pair(from + at[i]) | pair(below + at[i]) << 16;
}

static RM_CLONES void place_row(const int* __restrict x, const int* __restrict y, int step, int stride,
                                int* __restrict at, int n) {
  for (int i = 0; i < n; ++i) at[i] = y[i] * stride + x[i] * step;
}

template <Border kBorder, int kAdvance>
static RM_CLONES void linear_axis(const WarpAxis a, float scale, int first, const float* __restrict flow,
                                  int* __restrict at, float* __restrict near, float* __restrict far, int n) {
  for (int i = 0; i < n; ++i) {
    const Taps2 t = linear_taps<kBorder>(a, static_cast<float>(first + i * kAdvance), shift_of(flow[i], scale));
    at[i] = t.at;
    near[i] = t.near;
    far[i] = t.far;
  }
}

template <class G>
static RM_CLONES void linear_mix(const G* __restrict four, const float* __restrict xn, const float* __restrict xf,
                                 const float* __restrict yn, const float* __restrict yf, float* __restrict to, int n) {
  for (int i = 0; i < n; ++i) {
    const float a = mix2(xn[i], four[i].get(0), xf[i], four[i].get(1));
    const float b = mix2(xn[i], four[i].get(2), xf[i], four[i].get(3));
    to[i] = mix2(yn[i], a, yf[i], b);
  }
}

template <class G>
static RM_CLONES void linear_mix(const G* __restrict top, const G* __restrict bottom, const float* __restrict xn,
                                 const float* __restrict xf, const float* __restrict yn, const float* __restrict yf,
                                 float* __restrict to, int n) {
  for (int i = 0; i < n; ++i) {
    const float a = mix2(xn[i], top[i].get(0), xf[i], top[i].get(1));
    const float b = mix2(xn[i], bottom[i].get(0), xf[i], bottom[i].get(1));
    to[i] = mix2(yn[i], a, yf[i], b);
  }
}

// Groups of two places side by side, two samples each: u, v, then u, v of the next.
static RM_CLONES void linear_mix_pair(const Floats<4>* __restrict top, const Floats<4>* __restrict bottom,
                                      const float* __restrict xn, const float* __restrict xf,
                                      const float* __restrict yn, const float* __restrict yf, float* __restrict to_u,
                                      float* __restrict to_v, int n) {
  for (int i = 0; i < n; ++i) {
    const float* const a = top[i].sample;
    const float* const b = bottom[i].sample;
    to_u[i] = mix2(yn[i], mix2(xn[i], a[0], xf[i], a[2]), yf[i], mix2(xn[i], b[0], xf[i], b[2]));
    to_v[i] = mix2(yn[i], mix2(xn[i], a[1], xf[i], a[3]), yf[i], mix2(xn[i], b[1], xf[i], b[3]));
  }
}

template <Border kBorder, int kAdvance>
static RM_CLONES void cubic_axis(const WarpAxis a, float scale, int first, const float* __restrict flow,
                                 int* __restrict at, float* __restrict w0, float* __restrict w1, float* __restrict w2,
                                 float* __restrict w3, int n) {
  for (int i = 0; i < n; ++i) {
    const Taps4 t = cubic_taps<kBorder>(a, static_cast<float>(first + i * kAdvance), shift_of(flow[i], scale));
    at[i] = t.at;
    w0[i] = t.w[0];
    w1[i] = t.w[1];
    w2[i] = t.w[2];
    w3[i] = t.w[3];
  }
}

template <class G>
static RM_CLONES void cubic_mix(const G* __restrict group, const float* __restrict w0, const float* __restrict w1,
                                const float* __restrict w2, const float* __restrict w3, float* __restrict to, int n) {
  for (int i = 0; i < n; ++i) {
    const float w[4] = {w0[i], w1[i], w2[i], w3[i]};
    to[i] = mix4(w, group[i].get(0), group[i].get(1), group[i].get(2), group[i].get(3));
  }
}

static RM_CLONES void cubic_rows(const float* __restrict r0, const float* __restrict r1, const float* __restrict r2,
                                 const float* __restrict r3, const float* __restrict w0, const float* __restrict w1,
                                 const float* __restrict w2, const float* __restrict w3, float* __restrict to, int n) {
  for (int i = 0; i < n; ++i) {
    const float w[4] = {w0[i], w1[i], w2[i], w3[i]};
    to[i] = mix4(w, r0[i], r1[i], r2[i], r3[i]);
  }
}

// A row of floats as it lies, or copied to `buffer` where it is strided.
inline const float* flat_row(const Plane<const float>& p, int x, int y, float* buffer, int n) {
  if (p.step == 1) return p.row(y) + x;
  load_row(p.row(y) + x * p.step, p.step, buffer, n);
  return buffer;
}

// Buffers are a few cache lines longer than a chunk: were all of them of 2^k bytes, their samples of one place would
// meet in the same few sets of the cache.
constexpr int kPixels = 256;
constexpr int kRoom = kPixels + 48;

// The windows of a chunk of a row, then any number of planes sampled there. One object belongs to one worker.
template <class S>
class Chunk {
 public:
  static constexpr int kTaps = S::kFilter == Filter::bilinear ? 2 : 4;

  Chunk(int width, int height) : ax_(warp_axis(width, kTaps)), ay_(warp_axis(height, kTaps)) {}

  void aim(const Flow& flow, int x, int y, int n) {
    const float* const u = flat_row(flow.u, x, y, row_[0], n);
    const float* const v = flat_row(flow.v, x, y, row_[1], n);
    aim_rows(u, v, flow.scale, x, y, n);
  }

  // The same for displacements of these n pixels alone.
  void aim_rows(const float* u, const float* v, float scale, int x, int y, int n) {
    if constexpr (kTaps == 2) {
      linear_axis<S::kBorder, 1>(ax_, scale, x, u, x_, wx_[0], wx_[1], n);
      linear_axis<S::kBorder, 0>(ay_, scale, y, v, y_, wy_[0], wy_[1], n);
    } else {
      cubic_axis<S::kBorder, 1>(ax_, scale, x, u, x_, wx_[0], wx_[1], wx_[2], wx_[3], n);
      cubic_axis<S::kBorder, 0>(ay_, scale, y, v, y_, wy_[0], wy_[1], wy_[2], wy_[3], n);
    }
  }

  template <class T>
  void sample(const Plane<const T>& in, float* to, int n) {
    int at[kRoom];
    Group<T, kTaps> group[2][kRoom];
    place_row(x_, y_, in.step, in.stride, at, n);
    if constexpr (kTaps == 2) {
      const int down = window_offset(1, in.height, in.stride);
      if constexpr (std::is_same_v<T, uint8_t>) {
        if (in.step == 1 && in.width > 1) {
          Group<uint8_t, 4> four[kRoom];
          fetch_four(in.data, down, at, four, n);
          return linear_mix(four, wx_[0], wx_[1], wy_[0], wy_[1], to, n);
        }
      }
      for (int j = 0; j < 2; ++j) fetch_row<T, 2>(in, j, at, group[j], n);
      linear_mix(group[0], group[1], wx_[0], wx_[1], wy_[0], wy_[1], to, n);
    } else {
      for (int j = 0; j < 4; ++j) {
        fetch_row<T, 4>(in, j, at, group[0], n);
        cubic_mix(group[0], wx_[0], wx_[1], wx_[2], wx_[3], row_[j], n);
      }
      cubic_rows(row_[0], row_[1], row_[2], row_[3], wy_[0], wy_[1], wy_[2], wy_[3], to, n);
    }
  }

  // Both components of a flow; of one interleaved in memory, both by one move.
  void sample_pair(const Plane<const float>& u, const Plane<const float>& v, float* to_u, float* to_v, int n) {
    static_assert(kTaps == 2);
    if (u.step != 2 || v.data != u.data + 1 || v.step != 2 || v.stride != u.stride || u.width < 2) {
      sample(u, to_u, n);
      return sample(v, to_v, n);
    }
    int at[kRoom];
    Floats<4> group[2][kRoom];
    place_row(x_, y_, u.step, u.stride, at, n);
    for (int j = 0; j < 2; ++j) fetch<float, 4>(u.data + window_offset(j, u.height, u.stride), at, group[j], n);
    linear_mix_pair(group[0], group[1], wx_[0], wx_[1], wy_[0], wy_[1], to_u, to_v, n);
  }

 private:
  WarpAxis ax_, ay_;
  int x_[kRoom], y_[kRoom];
  float wx_[kTaps][kRoom], wy_[kTaps][kRoom], row_[4][kRoom];
};

}  // namespace reelmend::cpu
