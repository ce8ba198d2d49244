#include "cuda/launch.cuh"
#include "cuda/ops.cuh"
#include "ops/tone.h"

namespace reelmend::cuda {
namespace {

__device__ float threshold(int x, int y, bool dither) {
  return dither ? dither_threshold(x & 7, y & 7) : 0.5f;
}

// One chroma sample and its luma samples: 2 x 2, 2 x 1, 1 x 2 or 1. The sums of the chroma changes run over rows, then
// over the columns of the summed rows, as on the CPU. Plain: the table alone.
template <class T, bool kPlain>
struct Tones {
  Yuv<const T> in;
  YuvCoding coding;
  Siting siting;
  ToneMap map;
  bool dither;
  Yuv<T> out;

  __device__ Rgb change(const Rgb& p, float luma, int x, int y) const {
    if constexpr (!kPlain) return tone_at(map, coding.peak, p, yuv_luma(coding, luma), x, y);
    const ToneTable& table = map.table;
    return {table.change[tone_index(p.r, coding.peak)], table.change[table.size + tone_index(p.g, coding.peak)],
            table.change[2 * table.size + tone_index(p.b, coding.peak)]};
  }

  __device__ void operator()(int cx, int cy) const {
    const int columns = covered(cx, siting.sub_x, in.y.width);
    const int rows = covered(cy, siting.sub_y, in.y.height);
    float du[2] = {0.0f, 0.0f};
    float dv[2] = {0.0f, 0.0f};
    for (int j = 0; j < rows; ++j) {
      const int y = (cy << siting.sub_y) + j;
      for (int i = 0; i < columns; ++i) {
        const int x = (cx << siting.sub_x) + i;
        const float luma = static_cast<float>(in.y.at(x, y));
        const Rgb p = yuv_to_rgb(coding, luma, chroma_at(in.u, siting, x, y), chroma_at(in.v, siting, x, y));
        const Rgb a = change(p, luma, x, y);
        const ToneChange d = tone_change(coding, a.r, a.g, a.b);
        out.y.at(x, y) = static_cast<T>(to_code(luma + d.y, threshold(x, y, dither), coding.max_code));
        du[i] += d.u;
        dv[i] += d.v;
      }
    }
    const float part = 1.0f / static_cast<float>(rows * columns);
    const float u = columns == 2 ? du[0] + du[1] : du[0];
    const float v = columns == 2 ? dv[0] + dv[1] : dv[0];
    const float t = threshold(cx, cy, dither);
    out.u.at(cx, cy) = static_cast<T>(to_code(static_cast<float>(in.u.at(cx, cy)) + u * part, t, coding.max_code));
    out.v.at(cx, cy) = static_cast<T>(to_code(static_cast<float>(in.v.at(cx, cy)) + v * part, t, coding.max_code));
  }
};

template <class T>
struct RgbTones {
  RgbPlanes<const T> in;
  YuvCoding coding;
  float scale;
  ToneMap map;
  bool dither;
  RgbPlanes<T> out;

  __device__ T coded(T code, float d, float t) const {
    return static_cast<T>(to_code(static_cast<float>(code) + d * coding.max_code, t, coding.max_code));
  }
  __device__ void operator()(int x, int y) const {
    const T r = in.r.at(x, y);
    const T g = in.g.at(x, y);
    const T b = in.b.at(x, y);
    const Rgb p{static_cast<float>(r) * scale, static_cast<float>(g) * scale, static_cast<float>(b) * scale};
    const Rgb d = tone_at(map, coding.peak, p, rgb_luma(coding, p), x, y);
    const float t = threshold(x, y, dither);
    out.r.at(x, y) = coded(r, d.r, t);
    out.g.at(x, y) = coded(g, d.g, t);
    out.b.at(x, y) = coded(b, d.b, t);
  }
};

template <class T>
struct GrayTones {
  Plane<const T> in;
  YuvCoding coding;
  float scale;
  ToneMap map;
  bool dither;
  Plane<T> out;

  __device__ void operator()(int x, int y) const {
    const float code = static_cast<float>(in.at(x, y));
    const float d = gray_tone_at(map, coding.peak, code * scale, x, y);
    out.at(x, y) = static_cast<T>(to_code(code + d * coding.max_code, threshold(x, y, dither), coding.max_code));
  }
};

}  // namespace

template <class T>
cudaError_t map_tones(const Yuv<const T>& in, const YuvCoding& coding, const Siting& siting, const ToneMap& map,
                      bool dither, const Yuv<T>& out, cudaStream_t stream) {
  const int w = in.u.width;
  const int h = in.u.height;
  if (map.plain()) return cuda::map(Tones<T, true>{in, coding, siting, map, dither, out}, w, h, stream);
  return cuda::map(Tones<T, false>{in, coding, siting, map, dither, out}, w, h, stream);
}

template <class T>
cudaError_t map_tones_rgb(const RgbPlanes<const T>& in, const YuvCoding& coding, const ToneMap& map, bool dither,
                          const RgbPlanes<T>& out, cudaStream_t stream) {
  const float scale = coding.peak / coding.max_code;
  return cuda::map(RgbTones<T>{in, coding, scale, map, dither, out}, in.r.width, in.r.height, stream);
}

template <class T>
cudaError_t map_tones_gray(const Plane<const T>& in, const YuvCoding& coding, const ToneMap& map, bool dither,
                           const Plane<T>& out, cudaStream_t stream) {
  const float scale = coding.peak / coding.max_code;
  return cuda::map(GrayTones<T>{in, coding, scale, map, dither, out}, in.width, in.height, stream);
}

#define RM_TONE(T)                                                                                              \
  template cudaError_t map_tones<T>(const Yuv<const T>&, const YuvCoding&, const Siting&, const ToneMap&, bool, \
                                    const Yuv<T>&, cudaStream_t);                                               \
  template cudaError_t map_tones_rgb<T>(const RgbPlanes<const T>&, const YuvCoding&, const ToneMap&, bool,      \
                                        const RgbPlanes<T>&, cudaStream_t);                                     \
  template cudaError_t map_tones_gray<T>(const Plane<const T>&, const YuvCoding&, const ToneMap&, bool,         \
                                         const Plane<T>&, cudaStream_t);
RM_TONE(uint8_t)
RM_TONE(uint16_t)

}  // namespace reelmend::cuda
