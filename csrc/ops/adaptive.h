// The adaptive warp of MEMC-Net and DAIN: 4 x 4 taps of a pixel's own around where its flow leads, blended bilinearly.
//
// With (x, y) + F split into whole pixels i, j and fractions a, b, the taps lie on columns i - 1 .. i + 2 and rows
// j - 1 .. j + 2, places outside the picture taken at its edge. The four quadrants of 2 x 2 taps are summed, tap times
// sample, and mixed as four samples of a bilinear warp are: by 1 - a and a, then 1 - b and b. Where the flow leads out
// of the picture, or half its width (height) or further, or is not finite, the sample stays as it was.
#pragma once

#include "ops/warp.h"

namespace reelmend {

// Where the taps of one axis begin, and the fraction; `inside` is 1 where the flow does not lead out or too far, else 0
// (a float, which GCC vectorises as it does not a bool).
struct AdaptiveAxis {
  float first;
  float part;
  float inside;
};

RM_HD AdaptiveAxis adaptive_axis(int size, float x, float flow, float scale) {
  const Shift s = shift_of(flow, scale);
  const float d = flow * scale;
  const float from = d >= -x ? 1.0f : 0.0f;
  const float to = d <= static_cast<float>(size - 1) - x ? 1.0f : 0.0f;
  const float near = fabsf(d) < 0.5f * static_cast<float>(size) ? 1.0f : 0.0f;
  return {x + s.whole - 1.0f, s.part, from * to * near};
}

// Two rows of taps and samples: their left halves and right halves mixed.
RM_HD float half_of(float part, float left0, float left1, float right0, float right1) {
  return mix2(1.0f - part, left0 + left1, part, right0 + right1);
}

// One sample, anywhere. The taps are those of this pixel.
template <class T>
RM_HD float adaptive_at(const Plane<const T>& in, const float* taps, int x, int y, const AdaptiveAxis& ax,
                        const AdaptiveAxis& ay) {
  if (ax.inside * ay.inside == 0.0f) return static_cast<float>(in.at(x, y));
  int column[4];
  float left[4], right[4];
  for (int k = 0; k < 4; ++k) column[k] = clamp_index(static_cast<int>(ax.first) + k, in.width);
  for (int j = 0; j < 4; ++j) {
    const int row = clamp_index(static_cast<int>(ay.first) + j, in.height);
    const float* const t = taps + 4 * j;
    left[j] = mix2(t[0], static_cast<float>(in.at(column[0], row)), t[1], static_cast<float>(in.at(column[1], row)));
    right[j] = mix2(t[2], static_cast<float>(in.at(column[2], row)), t[3], static_cast<float>(in.at(column[3], row)));
  }
  return mix2(1.0f - ay.part, half_of(ax.part, left[0], left[1], right[0], right[1]), ay.part,
              half_of(ax.part, left[2], left[3], right[2], right[3]));
}

}  // namespace reelmend
