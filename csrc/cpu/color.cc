#include "cpu/launch.h"
#include "cpu/ops.h"

namespace reelmend::cpu {
namespace {

// R, G, B of one packed array: one loop, so that the compiler sees whole vectors of samples.
template <class T>
RM_CLONES void store_packed(const float* __restrict r, const float* __restrict g, const float* __restrict b,
                            T* __restrict to, float max_code, int n) {
  for (int i = 0; i < n; ++i) {
    to[3 * i] = to_sample<T>(r[i], max_code);
    to[3 * i + 1] = to_sample<T>(g[i], max_code);
    to[3 * i + 2] = to_sample<T>(b[i], max_code);
  }
}

RM_CLONES void to_luma_row(const YuvCoding c, const float* __restrict r, const float* __restrict g,
                           const float* __restrict b, float* __restrict y, int n) {
  for (int i = 0; i < n; ++i) y[i] = rgb_to_luma(c, {r[i], g[i], b[i]});
}

// Adds w * a row to an accumulator.
RM_CLONES void add_row(const float* __restrict row, float w, float* __restrict sum, int n) {
  for (int i = 0; i < n; ++i) sum[i] += w * row[i];
}

// Four taps in x of three rows whose first entry is luma column (first << sub) - 1.
RM_CLONES void to_chroma_row(const YuvCoding c, const Siting s, const float* __restrict r, const float* __restrict g,
                             const float* __restrict b, float* __restrict u, float* __restrict v, int n) {
  for (int i = 0; i < n; ++i) {
    const int x = i << s.sub_x;
    Rgb p{0.0f, 0.0f, 0.0f};
    for (int k = 0; k < 4; ++k) {
      p.r += s.down_x[k] * r[x + k];
      p.g += s.down_x[k] * g[x + k];
      p.b += s.down_x[k] * b[x + k];
    }
    const Chroma q = rgb_to_chroma(c, p);
    u[i] = q.u;
    v[i] = q.v;
  }
}

}  // namespace

template <class In, class Out>
void yuv_to_rgb(const Yuv<const In>& in, const YuvCoding& coding, const Siting& siting, const RgbPlanes<Out>& out,
                float max_out) {
  const bool packed = is_packed(out.r, out.g, out.b);
  parallel(in.y.height, 16, [&](int first, int last) {
    float y[kChunk], u[kChunk + 1], v[kChunk + 1], r[kChunk], g[kChunk], b[kChunk];
    for (int row = first; row < last; ++row) {
      for (int x = 0; x < in.y.width; x += kChunk) {
        const int n = std::min(kChunk, in.y.width - x);
        load_row(in.y.row(row) + x * in.y.step, in.y.step, y, n);
        chroma_row(in.u, siting, x, row, n, u);
        chroma_row(in.v, siting, x, row, n, v);
        to_rgb_row(coding, y, u, v, r, g, b, n);
        if (packed) {
          store_packed(r, g, b, out.r.row(row) + x * 3, max_out, n);
          continue;
        }
        store_row(r, out.r.row(row) + x * out.r.step, out.r.step, max_out, n);
        store_row(g, out.g.row(row) + x * out.g.step, out.g.step, max_out, n);
        store_row(b, out.b.row(row) + x * out.b.step, out.b.step, max_out, n);
      }
    }
  });
}

template <class In, class Out>
void rgb_to_yuv(const RgbPlanes<const In>& in, const YuvCoding& coding, const Siting& siting, const Yuv<Out>& out,
                bool dither) {
  const int width = in.r.width;
  const int height = in.r.height;
  parallel(height, 16, [&](int first, int last) {
    float r[kChunk], g[kChunk], b[kChunk], y[kChunk];
    for (int row = first; row < last; ++row) {
      const float* const t = threshold_row(row, dither);
      for (int x = 0; x < width; x += kChunk) {
        const int n = std::min(kChunk, width - x);
        load_row(in.r.row(row) + x * in.r.step, in.r.step, r, n);
        load_row(in.g.row(row) + x * in.g.step, in.g.step, g, n);
        load_row(in.b.row(row) + x * in.b.step, in.b.step, b, n);
        to_luma_row(coding, r, g, b, y, n);
        store_row(y, t, out.y.row(row) + x * out.y.step, out.y.step, coding.max_code, n);
      }
    }
  });
  parallel(out.u.height, 8, [&](int first, int last) {
    constexpr int kWide = kChunk + 4;
    float sum[3][kWide], line[kWide], u[kChunk], v[kChunk];
    const Plane<const In>* planes[3] = {&in.r, &in.g, &in.b};
    const int step = kChunk >> siting.sub_x;
    for (int row = first; row < last; ++row) {
      const float* const t = threshold_row(row, dither);
      for (int x = 0; x < out.u.width; x += step) {
        const int n = std::min(step, out.u.width - x);
        const int wide = ((n - 1) << siting.sub_x) + 4;
        const int x0 = (x << siting.sub_x) - 1;
        for (int c = 0; c < 3; ++c) {
          std::fill(sum[c], sum[c] + wide, 0.0f);
          for (int k = 0; k < 4; ++k) {
            if (siting.down_y[k] == 0.0f) continue;  // adds nothing
            const In* from = planes[c]->row(clamp_index((row << siting.sub_y) - 1 + k, height));
            const int lo = std::max(x0, 0);
            const int hi = std::min(x0 + wide, width);
            load_row(from + lo * planes[c]->step, planes[c]->step, line + (lo - x0), hi - lo);
            for (int i = 0; i < lo - x0; ++i) line[i] = line[lo - x0];
            for (int i = hi - x0; i < wide; ++i) line[i] = line[hi - x0 - 1];
            add_row(line, siting.down_y[k], sum[c], wide);
          }
        }
        to_chroma_row(coding, siting, sum[0], sum[1], sum[2], u, v, n);
        store_row(u, t, out.u.row(row) + x * out.u.step, out.u.step, coding.max_code, n);
        store_row(v, t, out.v.row(row) + x * out.v.step, out.v.step, coding.max_code, n);
      }
    }
  });
}

#define RM_TO_RGB(In, Out)                                                                                        \
  template void yuv_to_rgb<In, Out>(const Yuv<const In>&, const YuvCoding&, const Siting&, const RgbPlanes<Out>&, \
                                    float);
RM_TO_RGB(uint8_t, uint8_t)
RM_TO_RGB(uint8_t, uint16_t)
RM_TO_RGB(uint8_t, float)
RM_TO_RGB(uint16_t, uint8_t)
RM_TO_RGB(uint16_t, uint16_t)
RM_TO_RGB(uint16_t, float)

#define RM_TO_YUV(In, Out) \
  template void rgb_to_yuv<In, Out>(const RgbPlanes<const In>&, const YuvCoding&, const Siting&, const Yuv<Out>&, bool);
RM_TO_YUV(uint8_t, uint8_t)
RM_TO_YUV(uint8_t, uint16_t)
RM_TO_YUV(uint16_t, uint8_t)
RM_TO_YUV(uint16_t, uint16_t)
RM_TO_YUV(float, uint8_t)
RM_TO_YUV(float, uint16_t)

}  // namespace reelmend::cpu
