// A tone curve per RGB channel applied to a YCbCr picture in one pass.
//
// The picture is never stored as RGB. For each pixel the curves' *changes* D = f(x) - x at its R, G and B are looked
// up and carried back: luma takes Kr Dr + Kg Dg + Kb Db, and a chroma sample takes the mean over its pixels of
// (Db - Dy) and (Dr - Dy). So a curve that changes nothing gives the input bit for bit, chroma is never resampled,
// and colours outside the RGB cube stay outside it.
//
// Besides the curves, which are the same everywhere, a picture may have a field of gains (ops/gain.h): where light is
// to change by the part a, a code moves by a s(x), s being the response of the coding, and D = f(x) - x + a s(x). A
// mask (255: all of D, 0: none) multiplies D. RGB and gray pictures take D as it is.
#pragma once

#include "ops/color.h"
#include "ops/gain.h"

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

// All that is added to a picture. Without gains and mask it is the table alone.
struct ToneMap {
  ToneTable table;
  GainField field;
  Plane<const uint8_t> mask;  // of the picture's size; none if its data are null

  bool plain() const { return field.gains == nullptr && mask.data == nullptr; }
};

RM_HD float with_gain(float change, float gain, float response) {
  return change + gain * response;
}

RM_HD float mask_share(uint8_t mask) {
  return static_cast<float>(mask) / 255.0f;
}

// Luma of a pixel in table units, where white is at peak; and of one given as R, G, B in those units.
RM_HD float yuv_luma(const YuvCoding& c, float y) {
  return (y - c.y_off) * c.y_gain;
}

RM_HD float rgb_luma(const YuvCoding& c, Rgb p) {
  return c.kr * p.r + c.kg * p.g + c.kb * p.b;
}

// What is added to R, G and B of one pixel, for the GPU: p in table units.
RM_HD Rgb tone_at(const ToneMap& m, float last, Rgb p, float luma, int x, int y) {
  const int r = tone_index(p.r, last);
  const int g = m.table.size + tone_index(p.g, last);
  const int b = 2 * m.table.size + tone_index(p.b, last);
  Rgb d{m.table.change[r], m.table.change[g], m.table.change[b]};
  if (m.field.gains) {
    const GainTap t = gain_tap(m.field, x, y, luma);
    d.r = with_gain(d.r, gain_at(m.field, t, 0), m.field.response[r]);
    d.g = with_gain(d.g, gain_at(m.field, t, 1), m.field.response[g]);
    d.b = with_gain(d.b, gain_at(m.field, t, 2), m.field.response[b]);
  }
  if (m.mask.data) {
    const float share = mask_share(m.mask.at(x, y));
    d.r *= share;
    d.g *= share;
    d.b *= share;
  }
  return d;
}

RM_HD float gray_tone_at(const ToneMap& m, float last, float value, int x, int y) {
  const int i = tone_index(value, last);
  float d = m.table.change[i];
  if (m.field.gains) d = with_gain(d, gain_at(m.field, gain_tap(m.field, x, y, value), 0), m.field.response[i]);
  return m.mask.data ? d * mask_share(m.mask.at(x, y)) : d;
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
