// A tone curve per RGB channel applied to a YCbCr picture in one pass.
//
// The picture is never stored as RGB. For each pixel the curves' *changes* D = f(x) - x at its R, G and B are looked
// up and carried back: luma takes Kr Dr + Kg Dg + Kb Db, and a chroma sample takes the mean over its pixels of
// (Db - Dy) and (Dr - Dy). So a curve that changes nothing gives the input bit for bit, chroma is never resampled,
// and colours outside the RGB cube stay outside it.
#pragma once

#include "ops/color.h"

namespace reelmend {

// D of one channel at `size` points over 0..1, and the three channels one after the other.
struct ToneTable {
  const float* change;
  int size;
};

// The coding of a tone map has peak = size - 1, so that RGB values are table positions. The nearest entry is taken:
// with four entries a code or more, that is within (slope - 1) / 8 of a code.
RM_HD int tone_index(float value, float last) {
  return static_cast<int>(min_f(max_f(value + 0.5f, 0.0f), last));
}

struct ToneChange {
  float y, u, v;  // in codes
};

RM_HD ToneChange tone_change(const YuvCoding& c, float dr, float dg, float db) {
  const float dy = c.kr * dr + c.kg * dg + c.kb * db;
  return {dy * c.y_span, (db - dy) * c.u_span, (dr - dy) * c.v_span};
}

// How many of a chroma sample's columns (rows) lie inside the picture: all, or one at an odd edge.
RM_HD int covered(int chroma, int sub, int size) {
  const int first = chroma << sub;
  const int count = 1 << sub;
  return first + count <= size ? count : size - first;
}

}  // namespace reelmend
