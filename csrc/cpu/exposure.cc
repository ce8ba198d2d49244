#include "ops/exposure.h"

#include "cpu/launch.h"
#include "cpu/ops.h"

namespace reelmend::cpu {
namespace {

RM_CLONES void value_row(const ExposureRule e, const float* __restrict r, const float* __restrict g,
                         const float* __restrict b, float* __restrict value, int n) {
  for (int i = 0; i < n; ++i) value[i] = value_of(e, {r[i], g[i], b[i]});
}

RM_CLONES void scale_row(float scale, float* __restrict value, int n) {
  for (int i = 0; i < n; ++i) value[i] *= scale;
}

RM_CLONES void look_up_row(const float* __restrict table, float* __restrict value, int n) {
  for (int i = 0; i < n; ++i) value[i] = table[table_index(value[i])];
}

RM_CLONES void rule_row(const ExposureRule e, const float* __restrict value, uint8_t* __restrict to, int step, int n) {
  if (step == 1) {
    for (int i = 0; i < n; ++i) to[i] = badly_exposed(e, value[i]);
  } else {
    for (int i = 0; i < n; ++i) to[i * step] = badly_exposed(e, value[i]);
  }
}

// Runs `fill(x, y, n, r, g, b)` over the rows in chunks and judges what it gives, in 0..last.
template <class Fill>
void judge_rows(const ExposureRule& rule, const Plane<uint8_t>& out, const Fill& fill) {
  parallel(out.height, 16, [&](int first, int last) {
    float r[kChunk], g[kChunk], b[kChunk], value[kChunk];
    for (int y = first; y < last; ++y) {
      for (int x = 0; x < out.width; x += kChunk) {
        const int n = std::min(kChunk, out.width - x);
        fill(x, y, n, r, g, b);
        value_row(rule, r, g, b, value, n);
        if (rule.table) look_up_row(rule.table, value, n);
        rule_row(rule, value, out.row(y) + x * out.step, out.step, n);
      }
    }
  });
}

}  // namespace

template <class T>
void exposure_yuv(const Yuv<const T>& in, const YuvCoding& coding, const Siting& siting, const ExposureRule& rule,
                  const Plane<uint8_t>& out) {
  judge_rows(rule, out, [&](int x, int row, int n, float* r, float* g, float* b) {
    float y[kChunk], u[kChunk + 1], v[kChunk + 1];
    load_row(in.y.row(row) + x * in.y.step, in.y.step, y, n);
    chroma_row(in.u, siting, x, row, n, u);
    chroma_row(in.v, siting, x, row, n, v);
    to_rgb_row(coding, y, u, v, r, g, b, n);
  });
}

template <class T>
void exposure_rgb(const RgbPlanes<const T>& in, float scale, const ExposureRule& rule, const Plane<uint8_t>& out) {
  const bool packed = is_packed(in.r, in.g, in.b);
  judge_rows(rule, out, [&](int x, int row, int n, float* r, float* g, float* b) {
    if (packed) {
      load_packed(in.r.row(row) + x * 3, r, g, b, n);
    } else {
      load_row(in.r.row(row) + x * in.r.step, in.r.step, r, n);
      load_row(in.g.row(row) + x * in.g.step, in.g.step, g, n);
      load_row(in.b.row(row) + x * in.b.step, in.b.step, b, n);
    }
    scale_row(scale, r, n);
    scale_row(scale, g, n);
    scale_row(scale, b, n);
  });
}

#define RM_EXPOSURE(T)                                                                                     \
  template void exposure_yuv<T>(const Yuv<const T>&, const YuvCoding&, const Siting&, const ExposureRule&, \
                                const Plane<uint8_t>&);                                                    \
  template void exposure_rgb<T>(const RgbPlanes<const T>&, float, const ExposureRule&, const Plane<uint8_t>&);
RM_EXPOSURE(uint8_t)
RM_EXPOSURE(uint16_t)

}  // namespace reelmend::cpu
