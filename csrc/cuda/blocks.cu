#include <type_traits>

#include "cuda/launch.cuh"
#include "cuda/ops.cuh"
#include "ops/blocks.h"

namespace reelmend::cuda {
namespace {

// A warp a block. Each lane holds words of the window of a, four samples each; sums go to all lanes, so all of them
// take the same way through a search.
constexpr int kLanes = 32;
constexpr int kWarps = 4;

__device__ __forceinline__ int warp_sum(int value) {
#if __CUDA_ARCH__ >= 800
  return static_cast<int>(__reduce_add_sync(0xffffffffu, static_cast<unsigned>(value)));
#else
  for (int step = kLanes / 2; step > 0; step /= 2) value += __shfl_xor_sync(0xffffffffu, value, step);
  return value;
#endif
}

// Four samples from any address, by two aligned loads; what lies behind the last window is margin.
__device__ __forceinline__ unsigned four(const uint8_t* p) {
  const auto at = reinterpret_cast<uintptr_t>(p);
  const auto* const words = reinterpret_cast<const unsigned*>(at & ~static_cast<uintptr_t>(3));
  return __funnelshift_r(words[0], words[1], static_cast<unsigned>(at & 3) * 8);
}

template <int kW>
struct Window {
  static constexpr int kAcross = kW / 4;
  static constexpr int kWords = kW * kW / 4;
  static constexpr int kEach = (kWords + kLanes - 1) / kLanes;

  unsigned a[kEach];
  int lane, pitch;

  __device__ __forceinline__ Window(const uint8_t* from, int row_pitch)
      : lane(static_cast<int>(threadIdx.x)), pitch(row_pitch) {
#pragma unroll
    for (int n = 0; n < kEach; ++n) a[n] = four(from + offset(n));
  }
  __device__ __forceinline__ int offset(int n) const {
    const int word = min(lane + n * kLanes, kWords - 1);
    return word / kAcross * pitch + word % kAcross * 4;
  }
  // The SAD with what `word` gives for each offset.
  template <class F>
  __device__ __forceinline__ int sad(const F& word) const {
    unsigned sum = 0;
#pragma unroll
    for (int n = 0; n < kEach; ++n) sum += __vsadu4(a[n], word(offset(n)));
    return warp_sum(lane < kWords ? static_cast<int>(sum) : 0);
  }
};

template <int kW>
struct Whole {
  Window<kW> a;
  const uint8_t* b;

  __device__ __forceinline__ int operator()(BlockVector m) const {
    const uint8_t* const from = b + m.v * a.pitch + m.u;
    return a.sad([&](int offset) { return four(from + offset); });
  }
};

// Words of a are read again for each place: with their many samples of b they would not fit in registers.
template <int kW>
struct Quarter {
  using W = Window<kW>;
  const uint8_t *a, *b;
  int pitch;

  __device__ __forceinline__ unsigned sample(const HalfPlace& h, int offset) const {
    const uint8_t* const p = b + h.y * pitch + h.x + offset;
    const unsigned whole = four(p);
    if (h.plane == 0) return whole;
    if (h.plane == 2) return mean_up(whole, four(p + pitch));
    const unsigned columns = mean_up(whole, four(p + 1));
    return h.plane == 1 ? columns : mean_down(columns, mean_up(four(p + pitch), four(p + pitch + 1)));
  }
  // The mean of a place with itself is that place.
  __device__ __forceinline__ int operator()(BlockVector m) const {
    const QuarterPlace q = quarter_place(m.u, m.v);
    unsigned sum = 0;
#pragma unroll 2
    for (int word = static_cast<int>(threadIdx.x); word < W::kWords; word += kLanes) {
      const int offset = word / W::kAcross * pitch + word % W::kAcross * 4;
      sum += __vsadu4(four(a + offset), mean_up(sample(q.one, offset), sample(q.two, offset)));
    }
    return warp_sum(static_cast<int>(sum));
  }
};

__device__ __forceinline__ const uint8_t* picture(const uint8_t* padded, const BlockGrid& g) {
  return padded + block_margin(g.window) * (block_pitch(g.width, g.window) + 1);
}

// f(g, i, j) by all lanes of a warp.
template <class F>
__global__ void __launch_bounds__(kLanes* kWarps) block_kernel(F f, BlockGrid g) {
  const int i = static_cast<int>(blockIdx.x * kWarps + threadIdx.y);
  const int j = static_cast<int>(blockIdx.y);
  if (i < g.columns) f(g, i, j);
}

template <class F>
cudaError_t on_blocks(const F& f, const BlockGrid& g, cudaStream_t stream) {
  const dim3 block(kLanes, kWarps);
  const dim3 grid(static_cast<unsigned>((g.columns + kWarps - 1) / kWarps), static_cast<unsigned>(g.rows));
  block_kernel<<<grid, block, 0, stream>>>(f, g);
  return cudaGetLastError();
}

__device__ __forceinline__ void put(const BlockField& f, int i, int j, const BlockMatch& m) {
  if (threadIdx.x != 0) return;
  f.u(i, j) = m.m.u;
  f.v(i, j) = m.m.v;
  f.sad(i, j) = m.sad;
}

template <int kW>
__device__ __forceinline__ Whole<kW> whole(const uint8_t* a, const uint8_t* b, const BlockGrid& g,
                                           const BlockPlace& place) {
  const int pitch = block_pitch(g.width, g.window);
  const int at = place.y * pitch + place.x;
  return {Window<kW>(picture(a, g) + at, pitch), picture(b, g) + at};
}

template <int kW, bool kEverywhere>
struct Search {
  const uint8_t *a, *b;
  BlockField coarse;
  Plane<const float> hint_u, hint_v;
  int level, radius;
  BlockField out;

  __device__ void operator()(const BlockGrid& g, int i, int j) const {
    const BlockPlace place = block_place(g, i, j);
    const Whole<kW> match = whole<kW>(a, b, g, place);
    const BlockVector hint = hint_at(hint_u, hint_v, i, j, level);
    const BlockAround around = kEverywhere ? BlockAround{} : block_around(coarse, i >> 1, j >> 1, 2);
    const BlockSearch<Whole<kW>, BlockAround> search{match, place, around, g.weight};
    BlockMatch best = kEverywhere ? search.everywhere(radius, hint) : search.candidates(hint);
    search.descend(&best);
    put(out, i, j, best);
  }
};

template <int kW>
struct Spread {
  const uint8_t *a, *b;
  BlockField in, out;

  __device__ void operator()(const BlockGrid& g, int i, int j) const {
    const BlockPlace place = block_place(g, i, j);
    const Whole<kW> match = whole<kW>(a, b, g, place);
    const BlockAround around = block_around(in, i, j, 1);
    const BlockSearch<Whole<kW>, BlockAround> search{match, place, around, g.weight};
    put(out, i, j, search.taken_over(in.sad(i, j)));
  }
};

template <int kW>
struct Fractions {
  const uint8_t *a, *b;
  BlockField in;
  Plane<float> u, v, cost;

  __device__ void operator()(const BlockGrid& g, int i, int j) const {
    const BlockPlace place = block_place(g, i, j);
    const int pitch = block_pitch(g.width, g.window);
    const int at = place.y * pitch + place.x;
    const Quarter<kW> match{picture(a, g) + at, picture(b, g) + at, pitch};
    const BlockMatch best = with_fraction(match, place, block_around(in, i, j, kQuarters), g.weight, in.sad(i, j));
    if (threadIdx.x != 0) return;
    u.at(i, j) = static_cast<float>(best.m.u) * (1.0f / kQuarters);
    v.at(i, j) = static_cast<float>(best.m.v) * (1.0f / kQuarters);
    cost.at(i, j) = static_cast<float>(best.sad) * (1.0f / (kW * kW));
  }
};

// A sample of a copy, margins included.
struct Copy {
  Plane<const uint8_t> in;
  int margin, pitch;
  uint8_t* out;

  __device__ void operator()(int x, int y) const {
    out[y * pitch + x] = in.at(clamp_index(x - margin, in.width), clamp_index(y - margin, in.height));
  }
};

// The same of the next level, `width` x `height`.
struct Halve {
  const uint8_t* in;
  int from, margin, width, height, pitch;
  uint8_t* out;

  __device__ void operator()(int x, int y) const {
    const int column = margin + 2 * clamp_index(x - margin, width);
    const int row = margin + 2 * clamp_index(y - margin, height);
    const uint8_t* const p = in + row * from + column;
    out[y * pitch + x] = static_cast<uint8_t>(mean_of_four(p[0], p[1], p[from], p[from + 1]));
  }
};

template <class F>
cudaError_t on_window(int window, const F& f) {
  if (window == 8) return f(std::integral_constant<int, 8>{});
  if (window == 16) return f(std::integral_constant<int, 16>{});
  return f(std::integral_constant<int, 32>{});
}

}  // namespace

cudaError_t block_copy(const Plane<const uint8_t>& in, int window, uint8_t* out, cudaStream_t stream) {
  const int margin = block_margin(window);
  const int pitch = block_pitch(in.width, window);
  return map(Copy{in, margin, pitch, out}, pitch, in.height + 2 * margin, stream);
}

cudaError_t block_halve(const uint8_t* in, int width, int height, int window, uint8_t* out, cudaStream_t stream) {
  const int margin = block_margin(window);
  const int small = (width + 1) / 2;
  const int low = (height + 1) / 2;
  const int pitch = block_pitch(small, window);
  const Halve f{in, block_pitch(width, window), margin, small, low, pitch, out};
  return map(f, pitch, low + 2 * margin, stream);
}

cudaError_t block_search(const uint8_t* a, const uint8_t* b, const BlockGrid& g, const BlockField& coarse,
                         const Plane<const float>& hint_u, const Plane<const float>& hint_v, int level, int radius,
                         const BlockField& out, cudaStream_t stream) {
  return on_window(g.window, [&](auto window) {
    constexpr int kW = decltype(window)::value;
    if (coarse.data) return on_blocks(Search<kW, false>{a, b, coarse, hint_u, hint_v, level, radius, out}, g, stream);
    return on_blocks(Search<kW, true>{a, b, coarse, hint_u, hint_v, level, radius, out}, g, stream);
  });
}

cudaError_t block_spread(const uint8_t* a, const uint8_t* b, const BlockGrid& g, const BlockField& in,
                         const BlockField& out, cudaStream_t stream) {
  return on_window(g.window,
                   [&](auto window) { return on_blocks(Spread<decltype(window)::value>{a, b, in, out}, g, stream); });
}

cudaError_t block_fractions(const uint8_t* a, const uint8_t* b, const BlockGrid& g, const BlockField& in,
                            const Plane<float>& u, const Plane<float>& v, const Plane<float>& cost,
                            cudaStream_t stream) {
  return on_window(g.window, [&](auto window) {
    return on_blocks(Fractions<decltype(window)::value>{a, b, in, u, v, cost}, g, stream);
  });
}

}  // namespace reelmend::cuda
