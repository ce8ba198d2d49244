// Which pixels are too dark or too bright to be trusted, from V = max(R, G, B) (the value of HSV), clamped to 0..1.
//
// V may go through a table first: the illumination map filtered over time of BlazeBVD's scale-time equalisation
// (arXiv 2403.06243), which is a function of V within a frame. The nearest of its n entries over 0..1 is taken.
#pragma once

#include "ops/color.h"

namespace reelmend {

struct ExposureRule {
  const float* table;  // none if null
  float last;          // entries - 1: R, G, B come in 0..last; 1 without a table
  float low, high;
};

RM_HD float value_of(const ExposureRule& e, Rgb p) {
  return min_f(max_f(max_f(max_f(p.r, p.g), p.b), 0.0f), e.last);
}

RM_HD int table_index(float value) {
  return static_cast<int>(value + 0.5f);
}

RM_HD uint8_t badly_exposed(const ExposureRule& e, float value) {
  return static_cast<uint8_t>((value < e.low) | (value > e.high));
}

RM_HD uint8_t exposure_of(const ExposureRule& e, Rgb p) {
  const float v = value_of(e, p);
  return badly_exposed(e, e.table ? e.table[table_index(v)] : v);
}

}  // namespace reelmend
