#include "cuda/launch.cuh"
#include "cuda/ops.cuh"

namespace reelmend::cuda {
namespace {

template <class In, class Out>
struct ToRgb {
  Yuv<const In> in;
  YuvCoding coding;
  Siting siting;
  RgbPlanes<Out> out;
  float max_out;

  __device__ void operator()(int x, int y) const {
    const float u = chroma_at(in.u, siting, x, y);
    const float v = chroma_at(in.v, siting, x, y);
    const Rgb p = reelmend::yuv_to_rgb(coding, static_cast<float>(in.y.at(x, y)), u, v);
    out.r.at(x, y) = to_sample<Out>(p.r, max_out);
    out.g.at(x, y) = to_sample<Out>(p.g, max_out);
    out.b.at(x, y) = to_sample<Out>(p.b, max_out);
  }
};

template <class In, class Out>
struct ToLuma {
  RgbPlanes<const In> in;
  YuvCoding coding;
  Plane<Out> out;
  bool dither;

  __device__ void operator()(int x, int y) const {
    const Rgb p{static_cast<float>(in.r.at(x, y)), static_cast<float>(in.g.at(x, y)),
                static_cast<float>(in.b.at(x, y))};
    const float t = dither ? dither_threshold(x & 7, y & 7) : 0.5f;
    out.at(x, y) = static_cast<Out>(to_code(rgb_to_luma(coding, p), t, coding.max_code));
  }
};

// Rows first, then columns, as the CPU launcher does.
template <class In, class Out>
struct ToChroma {
  RgbPlanes<const In> in;
  YuvCoding coding;
  Siting siting;
  Plane<Out> u, v;
  bool dither;

  __device__ float column(const Plane<const In>& p, int x, int y0) const {
    float sum = 0.0f;
    for (int k = 0; k < 4; ++k) {
      sum += siting.down_y[k] * static_cast<float>(p.at(x, clamp_index(y0 - 1 + k, p.height)));
    }
    return sum;
  }

  __device__ void operator()(int x, int y) const {
    const int x0 = x << siting.sub_x;
    const int y0 = y << siting.sub_y;
    Rgb p{0.0f, 0.0f, 0.0f};
    for (int k = 0; k < 4; ++k) {
      const int at = clamp_index(x0 - 1 + k, in.r.width);
      p.r += siting.down_x[k] * column(in.r, at, y0);
      p.g += siting.down_x[k] * column(in.g, at, y0);
      p.b += siting.down_x[k] * column(in.b, at, y0);
    }
    const Chroma c = rgb_to_chroma(coding, p);
    const float t = dither ? dither_threshold(x & 7, y & 7) : 0.5f;
    u.at(x, y) = static_cast<Out>(to_code(c.u, t, coding.max_code));
    v.at(x, y) = static_cast<Out>(to_code(c.v, t, coding.max_code));
  }
};

}  // namespace

template <class In, class Out>
cudaError_t yuv_to_rgb(const Yuv<const In>& in, const YuvCoding& coding, const Siting& siting,
                       const RgbPlanes<Out>& out, float max_out, cudaStream_t stream) {
  return map(ToRgb<In, Out>{in, coding, siting, out, max_out}, in.y.width, in.y.height, stream);
}

template <class In, class Out>
cudaError_t rgb_to_yuv(const RgbPlanes<const In>& in, const YuvCoding& coding, const Siting& siting,
                       const Yuv<Out>& out, bool dither, cudaStream_t stream) {
  const cudaError_t luma = map(ToLuma<In, Out>{in, coding, out.y, dither}, in.r.width, in.r.height, stream);
  if (luma != cudaSuccess) return luma;
  return map(ToChroma<In, Out>{in, coding, siting, out.u, out.v, dither}, out.u.width, out.u.height, stream);
}

#define RM_TO_RGB(In, Out)                                                                        \
  template cudaError_t yuv_to_rgb<In, Out>(const Yuv<const In>&, const YuvCoding&, const Siting&, \
                                           const RgbPlanes<Out>&, float, cudaStream_t);
RM_TO_RGB(uint8_t, uint8_t)
RM_TO_RGB(uint8_t, uint16_t)
RM_TO_RGB(uint8_t, float)
RM_TO_RGB(uint16_t, uint8_t)
RM_TO_RGB(uint16_t, uint16_t)
RM_TO_RGB(uint16_t, float)

#define RM_TO_YUV(In, Out)                                                                              \
  template cudaError_t rgb_to_yuv<In, Out>(const RgbPlanes<const In>&, const YuvCoding&, const Siting&, \
                                           const Yuv<Out>&, bool, cudaStream_t);
RM_TO_YUV(uint8_t, uint8_t)
RM_TO_YUV(uint8_t, uint16_t)
RM_TO_YUV(uint16_t, uint8_t)
RM_TO_YUV(uint16_t, uint16_t)
RM_TO_YUV(float, uint8_t)
RM_TO_YUV(float, uint16_t)

}  // namespace reelmend::cuda
