#include "cuda/launch.cuh"
#include "cuda/ops.cuh"
#include "ops/tone.h"

namespace reelmend::cuda {
namespace {

// One chroma sample and its luma samples: 2 x 2, 2 x 1, 1 x 2 or 1. The sums of the chroma changes run over rows, then
// over the columns of the summed rows, as on the CPU.
template <class T>
struct Tones {
  Yuv<const T> in;
  YuvCoding coding;
  Siting siting;
  ToneTable table;
  bool dither;
  Yuv<T> out;

  __device__ float threshold(int x, int y) const { return dither ? dither_threshold(x & 7, y & 7) : 0.5f; }

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
        const ToneChange d = tone_change(coding, table.change[tone_index(p.r, coding.peak)],
                                         table.change[table.size + tone_index(p.g, coding.peak)],
                                         table.change[2 * table.size + tone_index(p.b, coding.peak)]);
        out.y.at(x, y) = static_cast<T>(to_code(luma + d.y, threshold(x, y), coding.max_code));
        du[i] += d.u;
        dv[i] += d.v;
      }
    }
    const float part = 1.0f / static_cast<float>(rows * columns);
    const float u = columns == 2 ? du[0] + du[1] : du[0];
    const float v = columns == 2 ? dv[0] + dv[1] : dv[0];
    const float t = threshold(cx, cy);
    out.u.at(cx, cy) = static_cast<T>(to_code(static_cast<float>(in.u.at(cx, cy)) + u * part, t, coding.max_code));
    out.v.at(cx, cy) = static_cast<T>(to_code(static_cast<float>(in.v.at(cx, cy)) + v * part, t, coding.max_code));
  }
};

}  // namespace

template <class T>
cudaError_t map_tones(const Yuv<const T>& in, const YuvCoding& coding, const Siting& siting, const ToneTable& table,
                      bool dither, const Yuv<T>& out, cudaStream_t stream) {
  return map(Tones<T>{in, coding, siting, table, dither, out}, in.u.width, in.u.height, stream);
}

#define RM_TONE(T)                                                                                                \
  template cudaError_t map_tones<T>(const Yuv<const T>&, const YuvCoding&, const Siting&, const ToneTable&, bool, \
                                    const Yuv<T>&, cudaStream_t);
RM_TONE(uint8_t)
RM_TONE(uint16_t)

}  // namespace reelmend::cuda
