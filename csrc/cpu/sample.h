// How CPU launchers sample planes along a flow: chunks of a row through short loops, as in launch.h. The windows of a
// chunk are aimed once, then any number of planes is fetched there by plain moves and mixed by vectors.
#pragma once

#include <bit>
#include <cmath>
#include <cstring>
#include <type_traits>

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
template <class Word>
struct Halves {
  Word word;
  void set(int k, Half sample) { word = static_cast<Word>(word | static_cast<Word>(sample.bits) << (k * 16)); }
  RM_HD float get(int k) const { return half_to_float(static_cast<uint32_t>(word >> (k * 16)) & 0xffffu); }
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
template <>
struct GroupOf<Half, 2> {
  using type = Halves<uint32_t>;
};
template <>
struct GroupOf<Half, 4> {
  using type = Halves<uint64_t>;
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

static RM_CLONES void place_row(const int* __restrict x, const int* __restrict y, int step, int stride,
                                int* __restrict at, int n) {
  for (int i = 0; i < n; ++i) at[i] = y[i] * stride + x[i] * step;
}

template <Border kBorder, int kAdvance>
static RM_CLONES void linear_axis(const WarpAxis a, float scale, float farthest, int first, int apart,
                                  const float* __restrict flow, int* __restrict at, float* __restrict part, int n) {
  for (int i = 0; i < n; ++i) {
    const Taps2 t =
        linear_taps<kBorder>(a, static_cast<float>(first + i * (kAdvance * apart)), shift_of(flow[i], scale, farthest));
    at[i] = t.at;
    part[i] = t.part;
  }
}

// The longest displacement of a chunk each way; infinity or NaN if one is not finite. As integers, the bits of numbers
// without a sign are in their order.
struct Reach {
  float across, down;
};
static RM_CLONES Reach longest(const float* __restrict u, const float* __restrict v, int n) {
  int32_t across = 0, down = 0;
  for (int i = 0; i < n; ++i) {
    const int32_t x = std::bit_cast<int32_t>(u[i]) & 0x7fffffff;
    const int32_t y = std::bit_cast<int32_t>(v[i]) & 0x7fffffff;
    across = x > across ? x : across;
    down = y > down ? y : down;
  }
  return {std::bit_cast<float>(across), std::bit_cast<float>(down)};
}

// Both axes at once where no window reaches over an edge: linear_taps without what clamps and mirrors. `origin` is the
// place in memory of the first pixel itself.
static RM_CLONES void linear_inside(float scale, const float* __restrict u, const float* __restrict v, int origin,
                                    int apart, int step, int stride, int* __restrict at, float* __restrict part_x,
                                    float* __restrict part_y, int n) {
  for (int i = 0; i < n; ++i) {
    const float across = u[i] * scale, down = v[i] * scale;
    const float x = floorf(across), y = floorf(down);
    at[i] = (origin + i * (apart * step)) + static_cast<int>(y) * stride + static_cast<int>(x) * step;
    part_x[i] = across - x;
    part_y[i] = down - y;
  }
}

template <Border kBorder, class G>
static RM_CLONES void linear_mix(const G* __restrict top, const G* __restrict bottom, float room_x, float room_y,
                                 const float* __restrict part_x, const float* __restrict part_y, float* __restrict to,
                                 int n) {
  for (int i = 0; i < n; ++i) {
    const Weights2 x = linear_weights<kBorder>(room_x, part_x[i]), y = linear_weights<kBorder>(room_y, part_y[i]);
    const float a = mix2(x.near, top[i].get(0), x.far, top[i].get(1));
    const float b = mix2(x.near, bottom[i].get(0), x.far, bottom[i].get(1));
    to[i] = mix2(y.near, a, y.far, b);
  }
}

// Groups of two places side by side, two samples each: u, v, then u, v of the next.
template <Border kBorder>
static RM_CLONES void linear_mix_pair(const Floats<4>* __restrict top, const Floats<4>* __restrict bottom, float room_x,
                                      float room_y, const float* __restrict part_x, const float* __restrict part_y,
                                      float* __restrict to_u, float* __restrict to_v, int n) {
  for (int i = 0; i < n; ++i) {
    const Weights2 x = linear_weights<kBorder>(room_x, part_x[i]), y = linear_weights<kBorder>(room_y, part_y[i]);
    const float* const a = top[i].sample;
    const float* const b = bottom[i].sample;
    to_u[i] = mix2(y.near, mix2(x.near, a[0], x.far, a[2]), y.far, mix2(x.near, b[0], x.far, b[2]));
    to_v[i] = mix2(y.near, mix2(x.near, a[1], x.far, a[3]), y.far, mix2(x.near, b[1], x.far, b[3]));
  }
}

template <Border kBorder, int kAdvance>
static RM_CLONES void cubic_axis(const WarpAxis a, float scale, float farthest, int first, const float* __restrict flow,
                                 int* __restrict at, float* __restrict w0, float* __restrict w1, float* __restrict w2,
                                 float* __restrict w3, int n) {
  for (int i = 0; i < n; ++i) {
    const Taps4 t =
        cubic_taps<kBorder>(a, static_cast<float>(first + i * kAdvance), shift_of(flow[i], scale, farthest));
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

// Asks for what the next chunk of a row reads, so that memory works while this one is fetched and mixed. Beyond the
// last chunk lies the next row, or what is never read; asking for it does no harm.
inline void ask_ahead(const float* row) {
  constexpr int kLine = 16;  // floats of a cache line
  for (int i = kPixels; i < 2 * kPixels; i += kLine) __builtin_prefetch(row + i);
}

// The windows of a chunk of a row, then any number of planes sampled there. One object belongs to one worker. `apart`:
// columns from one pixel of the chunk to the next.
template <class S>
class LinearChunk {
 public:
  LinearChunk(int width, int height, int apart = 1)
      : ax_(warp_axis(width, 2)), ay_(warp_axis(height, 2)), apart_(apart) {}

  void aim(const Flow& flow, int x, int y, int n) {
    aim_rows(flat_row(flow.u, x, y, row_[0], n), flat_row(flow.v, x, y, row_[1], n), flow.scale, x, y, n);
    ask_ahead(u_);
    ask_ahead(v_);
  }

  // The same for displacements of these n pixels alone, which are read when planes are sampled.
  void aim_rows(const float* u, const float* v, float scale, int x, int y, int) {
    u_ = u;
    v_ = v;
    scale_ = scale;
    left_ = x;
    top_ = y;
    placed_ = false;
  }

  template <class T>
  void sample(const Plane<const T>& in, float* to, int n) {
    place(in.step, in.stride, n);
    Group<T, 2> group[2][kRoom];
    for (int j = 0; j < 2; ++j) fetch_row<T, 2>(in, j, at_, group[j], n);
    linear_mix<S::kBorder>(group[0], group[1], ax_.room, ay_.room, part_x_, part_y_, to, n);
  }

  // Both components of a flow; of one interleaved in memory, both by one move.
  void sample_pair(const Plane<const float>& u, const Plane<const float>& v, float* to_u, float* to_v, int n) {
    if (u.step != 2 || v.data != u.data + 1 || v.step != 2 || v.stride != u.stride || u.width < 2) {
      sample(u, to_u, n);
      return sample(v, to_v, n);
    }
    Floats<4> group[2][kRoom];
    place(u.step, u.stride, n);
    for (int j = 0; j < 2; ++j) fetch<float, 4>(u.data + window_offset(j, u.height, u.stride), at_, group[j], n);
    linear_mix_pair<S::kBorder>(group[0], group[1], ax_.room, ay_.room, part_x_, part_y_, to_u, to_v, n);
  }

 private:
  // Where in memory the windows lie, for planes of this layout; most calls have planes of one. Chunks at the ends of a
  // row go in blocks, so that only their outermost is slow.
  void place(int step, int stride, int n) {
    if (placed_ && step == step_ && stride == stride_) return;
    placed_ = true;
    step_ = step;
    stride_ = stride;
    const bool at_end = left_ < apart_ || left_ + n * apart_ > ax_.size - apart_;
    const int block = at_end ? kBlock : n;
    for (int i = 0; i < n; i += block) place_block(i, std::min(block, n - i));
  }

  void place_block(int i, int n) {
    const int x = left_ + i * apart_, last = x + (n - 1) * apart_;
    const float room_x = static_cast<float>(std::min(x, ax_.size - 2 - last));
    const float room_y = static_cast<float>(std::min(top_, ay_.size - 2 - top_));
    const Reach reach = longest(u_ + i, v_ + i, n);
    if (S::kBorder != Border::zeros && reach.across * std::fabs(scale_) <= room_x &&
        reach.down * std::fabs(scale_) <= room_y) {
      return linear_inside(scale_, u_ + i, v_ + i, top_ * stride_ + x * step_, apart_, step_, stride_, at_ + i,
                           part_x_ + i, part_y_ + i, n);
    }
    linear_axis<S::kBorder, 1>(ax_, scale_, kFarthest, x, apart_, u_ + i, x_ + i, part_x_ + i, n);
    linear_axis<S::kBorder, 0>(ay_, scale_, kFarthest, top_, 0, v_ + i, y_ + i, part_y_ + i, n);
    place_row(x_ + i, y_ + i, step_, stride_, at_ + i, n);
  }

  static constexpr int kBlock = 64;
  WarpAxis ax_, ay_;
  int apart_;
  float scale_ = 1.0f;
  bool placed_ = false;
  int left_ = 0, top_ = 0, step_ = 0, stride_ = 0;
  const float *u_ = nullptr, *v_ = nullptr;
  int x_[kRoom], y_[kRoom], at_[kRoom];
  float part_x_[kRoom], part_y_[kRoom], row_[2][kRoom];
};

template <class S>
class CubicChunk {
 public:
  CubicChunk(int width, int height) : ax_(warp_axis(width, 4)), ay_(warp_axis(height, 4)) {}

  void aim(const Flow& flow, int x, int y, int n) {
    const float* const u = flat_row(flow.u, x, y, row_[0], n);
    const float* const v = flat_row(flow.v, x, y, row_[1], n);
    aim_rows(u, v, flow.scale, x, y, n);
  }

  // The same for displacements of these n pixels alone.
  void aim_rows(const float* u, const float* v, float scale, int x, int y, int n) {
    cubic_axis<S::kBorder, 1>(ax_, scale, kFarthest, x, u, x_, wx_[0], wx_[1], wx_[2], wx_[3], n);
    cubic_axis<S::kBorder, 0>(ay_, scale, kFarthest, y, v, y_, wy_[0], wy_[1], wy_[2], wy_[3], n);
  }

  template <class T>
  void sample(const Plane<const T>& in, float* to, int n) {
    int at[kRoom];
    Group<T, 4> group[kRoom];
    place_row(x_, y_, in.step, in.stride, at, n);
    for (int j = 0; j < 4; ++j) {
      fetch_row<T, 4>(in, j, at, group, n);
      cubic_mix(group, wx_[0], wx_[1], wx_[2], wx_[3], row_[j], n);
    }
    cubic_rows(row_[0], row_[1], row_[2], row_[3], wy_[0], wy_[1], wy_[2], wy_[3], to, n);
  }

 private:
  WarpAxis ax_, ay_;
  int x_[kRoom], y_[kRoom];
  float wx_[4][kRoom], wy_[4][kRoom], row_[4][kRoom];
};

template <class S>
using Chunk = std::conditional_t<S::kFilter == Filter::bilinear, LinearChunk<S>, CubicChunk<S>>;

}  // namespace reelmend::cpu
