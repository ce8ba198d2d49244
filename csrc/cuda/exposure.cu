#include "cuda/launch.cuh"
#include "cuda/ops.cuh"
#include "ops/exposure.h"

namespace reelmend::cuda {
namespace {

template <class T>
struct YuvExposure {
  Yuv<const T> in;
  YuvCoding coding;
  Siting siting;
  ExposureRule rule;
  Plane<uint8_t> out;

  __device__ void operator()(int x, int y) const {
    out.at(x, y) =
        exposure_of(rule, reelmend::yuv_to_rgb(coding, static_cast<float>(in.y.at(x, y)), chroma_at(in.u, siting, x, y),
                                               chroma_at(in.v, siting, x, y)));
  }
};

template <class T>
struct RgbExposure {
  RgbPlanes<const T> in;
  float scale;
  ExposureRule rule;
  Plane<uint8_t> out;

  __device__ void operator()(int x, int y) const {
    out.at(x, y) =
        exposure_of(rule, {static_cast<float>(in.r.at(x, y)) * scale, static_cast<float>(in.g.at(x, y)) * scale,
                           static_cast<float>(in.b.at(x, y)) * scale});
  }
};

}  // namespace

template <class T>
cudaError_t exposure_yuv(const Yuv<const T>& in, const YuvCoding& coding, const Siting& siting,
                         const ExposureRule& rule, const Plane<uint8_t>& out, cudaStream_t stream) {
  return map(YuvExposure<T>{in, coding, siting, rule, out}, out.width, out.height, stream);
}

template <class T>
cudaError_t exposure_rgb(const RgbPlanes<const T>& in, float scale, const ExposureRule& rule, const Plane<uint8_t>& out,
                         cudaStream_t stream) {
  return map(RgbExposure<T>{in, scale, rule, out}, out.width, out.height, stream);
}

#define RM_EXPOSURE(T)                                                                                               \
  template cudaError_t exposure_yuv<T>(const Yuv<const T>&, const YuvCoding&, const Siting&, const ExposureRule&,    \
                                       const Plane<uint8_t>&, cudaStream_t);                                         \
  template cudaError_t exposure_rgb<T>(const RgbPlanes<const T>&, float, const ExposureRule&, const Plane<uint8_t>&, \
                                       cudaStream_t);
RM_EXPOSURE(uint8_t)
RM_EXPOSURE(uint16_t)

}  // namespace reelmend::cuda
