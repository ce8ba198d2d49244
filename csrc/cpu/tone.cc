#include "ops/tone.h"

#include "cpu/gain.h"
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

// R, G, B codes to table positions.
RM_CLONES void index_codes(const float* __restrict code, float scale, float last, uint16_t* __restrict index, int n) {
  for (int i = 0; i < n; ++i) index[i] = static_cast<uint16_t>(tone_index(code[i] * scale, last));
}

// Adds changes in units of white.
RM_CLONES void add_codes(const float* __restrict d, float max_code, float* __restrict code, int n) {
  for (int i = 0; i < n; ++i) code[i] += d[i] * max_code;
}

// Luma in units of the table.
RM_CLONES void yuv_luma_row(const YuvCoding c, const float* __restrict y, float* __restrict luma, int n) {
  for (int i = 0; i < n; ++i) luma[i] = yuv_luma(c, y[i]);
}

RM_CLONES void rgb_luma_row(const YuvCoding c, float scale, const float* __restrict r, const float* __restrict g,
                            const float* __restrict b, float* __restrict luma, int n) {
  for (int i = 0; i < n; ++i) luma[i] = rgb_luma(c, {r[i] * scale, g[i] * scale, b[i] * scale});
}

RM_CLONES void scale_row(const float* __restrict code, float scale, float* __restrict luma, int n) {
  for (int i = 0; i < n; ++i) luma[i] = code[i] * scale;
}

template <class Changes, class T>
void map_yuv(const Yuv<const T>& in, const YuvCoding& coding, const Siting& siting, const ToneMap& map, bool dither,
             const Yuv<T>& out) {
  const int width = in.y.width;
  const int height = in.y.height;
  parallel(in.u.height, 8, [&](int first, int last) {
    float y[kChunk], u[kChunk + 1], v[kChunk + 1], du[kChunk], dv[kChunk], c[kChunk], luma[kChunk];
    float dr[kChunk], dg[kChunk], db[kChunk];
    uint16_t r[kChunk], g[kChunk], b[kChunk];
    const uint16_t* const index[3] = {r, g, b};
    float* const d[3] = {dr, dg, db};
    Changes changes(map, width);
    for (int crow = first; crow < last; ++crow) {
      const float* const ct = threshold_row(crow, dither);
      const int rows = covered(crow, siting.sub_y, height);
      changes.rows(crow << siting.sub_y, rows);
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
          if (changes.wants_luma()) yuv_luma_row(coding, y, luma, n);
          changes.changes(j, x, n, luma, index, d, 3);
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

// One or three planes of one size, whose samples are R, G, B (or gray) themselves.
template <class Changes, class T>
void map_planes(const Plane<const T>* in, int channels, const YuvCoding& coding, const ToneMap& map, bool dither,
                const Plane<T>* out) {
  const int width = in[0].width;
  const float scale = coding.peak / coding.max_code;
  const bool packed_in = channels == 3 && is_packed(in[0], in[1], in[2]);
  const bool packed_out = channels == 3 && is_packed(out[0], out[1], out[2]);
  parallel(in[0].height, 16, [&](int first, int last) {
    float code[3][kChunk], change[3][kChunk], luma[kChunk];
    uint16_t position[3][kChunk];
    const uint16_t* const index[3] = {position[0], position[1], position[2]};
    float* const d[3] = {change[0], change[1], change[2]};
    Changes changes(map, width);
    for (int y = first; y < last; ++y) {
      const float* const t = threshold_row(y, dither);
      changes.rows(y, 1);
      for (int x = 0; x < width; x += kChunk) {
        const int n = std::min(kChunk, width - x);
        if (packed_in) {
          load_packed(in[0].row(y) + x * 3, code[0], code[1], code[2], n);
        } else {
          for (int c = 0; c < channels; ++c) load_row(in[c].row(y) + x * in[c].step, in[c].step, code[c], n);
        }
        for (int c = 0; c < channels; ++c) index_codes(code[c], scale, coding.peak, position[c], n);
        if (changes.wants_luma()) {
          if (channels == 3) {
            rgb_luma_row(coding, scale, code[0], code[1], code[2], luma, n);
          } else {
            scale_row(code[0], scale, luma, n);
          }
        }
        changes.changes(0, x, n, luma, index, d, channels);
        for (int c = 0; c < channels; ++c) add_codes(change[c], coding.max_code, code[c], n);
        if (packed_out) {
          store_packed(code[0], code[1], code[2], t, out[0].row(y) + x * 3, coding.max_code, n);
          continue;
        }
        for (int c = 0; c < channels; ++c) {
          store_row(code[c], t, out[c].row(y) + x * out[c].step, out[c].step, coding.max_code, n);
        }
      }
    }
  });
}

}  // namespace

template <class T>
void map_tones(const Yuv<const T>& in, const YuvCoding& coding, const Siting& siting, const ToneMap& map, bool dither,
               const Yuv<T>& out) {
  if (map.plain()) return map_yuv<Curves>(in, coding, siting, map, dither, out);
  map_yuv<Field>(in, coding, siting, map, dither, out);
}

template <class T>
void map_tones_rgb(const RgbPlanes<const T>& in, const YuvCoding& coding, const ToneMap& map, bool dither,
                   const RgbPlanes<T>& out) {
  const Plane<const T> from[3] = {in.r, in.g, in.b};
  const Plane<T> to[3] = {out.r, out.g, out.b};
  if (map.plain()) return map_planes<Curves>(from, 3, coding, map, dither, to);
  map_planes<Field>(from, 3, coding, map, dither, to);
}

template <class T>
void map_tones_gray(const Plane<const T>& in, const YuvCoding& coding, const ToneMap& map, bool dither,
                    const Plane<T>& out) {
  if (map.plain()) return map_planes<Curves>(&in, 1, coding, map, dither, &out);
  map_planes<Field>(&in, 1, coding, map, dither, &out);
}

#define RM_TONE(T)                                                                                       \
  template void map_tones<T>(const Yuv<const T>&, const YuvCoding&, const Siting&, const ToneMap&, bool, \
                             const Yuv<T>&);                                                             \
  template void map_tones_rgb<T>(const RgbPlanes<const T>&, const YuvCoding&, const ToneMap&, bool,      \
                                 const RgbPlanes<T>&);                                                   \
  template void map_tones_gray<T>(const Plane<const T>&, const YuvCoding&, const ToneMap&, bool, const Plane<T>&);
RM_TONE(uint8_t)
RM_TONE(uint16_t)

}  // namespace reelmend::cpu
