#include "ops/tone.h"

#include "cpu/launch.h"
#include "cpu/ops.h"

namespace reelmend::cpu {
namespace {

RM_CLONES void index_row(const YuvCoding c, const float* __restrict y, const float* __restrict u,
                         const float* __restrict v, uint16_t* __restrict r, uint16_t* __restrict g,
                         uint16_t* __restrict b, int n) {
  for (int i = 0; i < n; ++i) {
    const Rgb p = reelmend::yuv_to_rgb(c, y[i], u[i], v[i]);
    r[i] = static_cast<uint16_t>(tone_index(p.r, c.peak));
    g[i] = static_cast<uint16_t>(tone_index(p.g, c.peak));
    b[i] = static_cast<uint16_t>(tone_index(p.b, c.peak));
  }
}

// Four at a time: independent loads in flight beat the gather instruction on the machine measured.
void look_up(const float* __restrict table, const uint16_t* __restrict index, float* __restrict out, int n) {
  int i = 0;
  for (; i + 4 <= n; i += 4) {
    const float a = table[index[i]], b = table[index[i + 1]], c = table[index[i + 2]], d = table[index[i + 3]];
    out[i] = a;
    out[i + 1] = b;
    out[i + 2] = c;
    out[i + 3] = d;
  }
  for (; i < n; ++i) out[i] = table[index[i]];
}

RM_CLONES void change_row(const YuvCoding c, const float* __restrict dr, const float* __restrict dg,
                          const float* __restrict db, float* __restrict y, float* __restrict u, float* __restrict v,
                          int n) {
  for (int i = 0; i < n; ++i) {
    const ToneChange d = tone_change(c, dr[i], dg[i], db[i]);
    y[i] += d.y;
    u[i] += d.u;
    v[i] += d.v;
  }
}

// Sums of pairs times `part`, added to the chroma samples.
RM_CLONES void add_pairs(const float* __restrict sum, float part, float* __restrict c, int n) {
  for (int i = 0; i < n; ++i) c[i] += (sum[2 * i] + sum[2 * i + 1]) * part;
}

RM_CLONES void add_single(const float* __restrict sum, float part, float* __restrict c, int n) {
  for (int i = 0; i < n; ++i) c[i] += sum[i] * part;
}

// Adds the mean changes of `rows` luma rows to n chroma samples; the last may have a single column at an odd edge.
void add_changes(const Siting& s, const float* sum, int luma, int rows, float* c, int n) {
  const float part = 1.0f / static_cast<float>(rows << s.sub_x);
  if (s.sub_x == 0) return add_single(sum, part, c, n);
  const int whole = luma >> 1;
  add_pairs(sum, part, c, whole);
  if (whole < n) add_single(sum + 2 * whole, 2.0f * part, c + whole, 1);
}

}  // namespace

template <class T>
void map_tones(const Yuv<const T>& in, const YuvCoding& coding, const Siting& siting, const ToneTable& table,
               bool dither, const Yuv<T>& out) {
  const int width = in.y.width;
  const int height = in.y.height;
  parallel(in.u.height, 8, [&](int first, int last) {
    float y[kChunk], u[kChunk + 1], v[kChunk + 1], du[kChunk], dv[kChunk], c[kChunk];
    float dr[kChunk], dg[kChunk], db[kChunk];
    uint16_t r[kChunk], g[kChunk], b[kChunk];
    for (int crow = first; crow < last; ++crow) {
      const float* const ct = threshold_row(crow, dither);
      const int rows = covered(crow, siting.sub_y, height);
      for (int x = 0; x < width; x += kChunk) {
        const int n = std::min(kChunk, width - x);
        std::fill(du, du + n, 0.0f);
        std::fill(dv, dv + n, 0.0f);
        for (int j = 0; j < rows; ++j) {
          const int row = (crow << siting.sub_y) + j;
          const float* const t = threshold_row(row, dither);
          load_row(in.y.row(row) + x * in.y.step, in.y.step, y, n);
          chroma_row(in.u, siting, x, row, n, u);
          chroma_row(in.v, siting, x, row, n, v);
          index_row(coding, y, u, v, r, g, b, n);
          look_up(table.change, r, dr, n);
          look_up(table.change + table.size, g, dg, n);
          look_up(table.change + 2 * table.size, b, db, n);
          change_row(coding, dr, dg, db, y, du, dv, n);
          store_row(y, t, out.y.row(row) + x * out.y.step, out.y.step, coding.max_code, n);
        }
        const int cx = x >> siting.sub_x;
        const int cn = (n + siting.sub_x) >> siting.sub_x;
        load_row(in.u.row(crow) + cx * in.u.step, in.u.step, c, cn);
        add_changes(siting, du, n, rows, c, cn);
        store_row(c, ct, out.u.row(crow) + cx * out.u.step, out.u.step, coding.max_code, cn);
        load_row(in.v.row(crow) + cx * in.v.step, in.v.step, c, cn);
        add_changes(siting, dv, n, rows, c, cn);
        store_row(c, ct, out.v.row(crow) + cx * out.v.step, out.v.step, coding.max_code, cn);
      }
    }
  });
}

#define RM_TONE(T)                                                                                         \
  template void map_tones<T>(const Yuv<const T>&, const YuvCoding&, const Siting&, const ToneTable&, bool, \
                             const Yuv<T>&);
RM_TONE(uint8_t)
RM_TONE(uint16_t)

}  // namespace reelmend::cpu
