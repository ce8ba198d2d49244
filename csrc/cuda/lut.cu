#include "cuda/launch.cuh"
#include "cuda/ops.cuh"

namespace reelmend::cuda {
namespace {

template <class In, class Out>
struct Lut {
  Plane<const In> in;
  const float* lut;
  int last;
  float max_code;
  bool dither;
  Plane<Out> out;

  __device__ void operator()(int x, int y) const {
    const int code = in.at(x, y);
    const float t = dither ? dither_threshold(x & 7, y & 7) : 0.5f;
    out.at(x, y) = static_cast<Out>(to_code(lut[code < last ? code : last], t, max_code));
  }
};

}  // namespace

template <class In, class Out>
cudaError_t apply_lut(const Plane<const In>& in, const float* lut, int lut_size, float max_code, bool dither,
                      const Plane<Out>& out, cudaStream_t stream) {
  return map(Lut<In, Out>{in, lut, lut_size - 1, max_code, dither, out}, in.width, in.height, stream);
}

#define RM_LUT(In, Out)                                                                                              \
  template cudaError_t apply_lut<In, Out>(const Plane<const In>&, const float*, int, float, bool, const Plane<Out>&, \
                                          cudaStream_t);
RM_LUT(uint8_t, uint8_t)
RM_LUT(uint8_t, uint16_t)
RM_LUT(uint16_t, uint8_t)
RM_LUT(uint16_t, uint16_t)

}  // namespace reelmend::cuda
