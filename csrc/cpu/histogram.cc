#include <atomic>

#include "cpu/launch.h"
#include "cpu/ops.h"

namespace reelmend::cpu {
namespace {

RM_CLONES void bin_row(const float* __restrict value, BinScale s, int* __restrict bin, int n) {
  for (int i = 0; i < n; ++i) bin[i] = bin_of(s, value[i]);
}

// Private bins of one worker. Two sets in turn: neighbouring pixels are often equal, and adding to the cell that was
// just written waits for that write.
struct Bins {
  int count[2][kHistograms][kMaxBins] = {};

  void add(const int* r, const int* g, const int* b, int n) {
    for (int i = 0; i < n; ++i) {
      int (&set)[kHistograms][kMaxBins] = count[i & 1];
      ++set[0][r[i]];
      ++set[1][g[i]];
      ++set[2][b[i]];
      ++set[3][max3(r[i], g[i], b[i])];
    }
  }

  void merge(int bins, int* to) const {
    for (int h = 0; h < kHistograms; ++h) {
      for (int l = 0; l < bins; ++l) {
        const int n = count[0][h][l] + count[1][h][l];
        if (n) std::atomic_ref<int>(to[h * bins + l]).fetch_add(n, std::memory_order_relaxed);
      }
    }
  }
};

// Runs `fill(x, y, n, r, g, b)` over the sampled rows in chunks and counts what it gives.
template <class Fill>
void count_rows(const Sampling& at, float scale, int bins, int* counts, const Fill& fill) {
  const BinScale s{scale, static_cast<float>(bins - 1)};
  parallel(at.rows(), 32, [&](int first, int last) {
    Bins local;
    float r[kChunk], g[kChunk], b[kChunk];
    int ri[kChunk], gi[kChunk], bi[kChunk];
    for (int row = first; row < last; ++row) {
      for (int i = 0; i < at.columns(); i += kChunk) {
        const int n = std::min(kChunk, at.columns() - i);
        fill(at.x0 + i * at.skip, at.y0 + row * at.skip, n, r, g, b);
        bin_row(r, s, ri, n);
        bin_row(g, s, gi, n);
        bin_row(b, s, bi, n);
        local.add(ri, gi, bi, n);
      }
    }
    local.merge(bins, counts);
  });
}

}  // namespace

template <class T>
void histogram_rgb(const RgbPlanes<const T>& in, float peak, const Sampling& at, int bins, int* counts) {
  count_rows(at, static_cast<float>(bins - 1) / peak, bins, counts,
             [&](int x, int y, int n, float* r, float* g, float* b) {
               load_row(in.r.row(y) + x * in.r.step, in.r.step * at.skip, r, n);
               load_row(in.g.row(y) + x * in.g.step, in.g.step * at.skip, g, n);
               load_row(in.b.row(y) + x * in.b.step, in.b.step * at.skip, b, n);
             });
}

template <class T>
void histogram_yuv(const Yuv<const T>& in, const YuvCoding& coding, const Siting& siting, const Sampling& at, int bins,
                   int* counts) {
  count_rows(at, 1.0f, bins, counts, [&](int x, int y, int n, float* r, float* g, float* b) {
    float luma[kChunk], u[kChunk], v[kChunk];
    load_row(in.y.row(y) + x * in.y.step, in.y.step * at.skip, luma, n);
    const T* const urow = in.u.row(y >> siting.sub_y);
    const T* const vrow = in.v.row(y >> siting.sub_y);
    for (int i = 0; i < n; ++i) {
      const int cx = (x + i * at.skip) >> siting.sub_x;
      u[i] = static_cast<float>(urow[cx * in.u.step]);
      v[i] = static_cast<float>(vrow[cx * in.v.step]);
    }
    to_rgb_row(coding, luma, u, v, r, g, b, n);
  });
}

#define RM_HISTOGRAM(T)                                                                         \
  template void histogram_rgb<T>(const RgbPlanes<const T>&, float, const Sampling&, int, int*); \
  template void histogram_yuv<T>(const Yuv<const T>&, const YuvCoding&, const Siting&, const Sampling&, int, int*);
RM_HISTOGRAM(uint8_t)
RM_HISTOGRAM(uint16_t)

}  // namespace reelmend::cpu
