// IEEE 754 binary16 samples, converted by integer arithmetic: the same bits on every CPU and GPU (instructions differ
// in what they make of a NaN), in loops that GCC vectorises.
#pragma once

#include "core/bits.h"

namespace reelmend {

// Exponents are biased by 15 in a half and by 127 in a float; fractions have 10 and 23 bits.
RM_HD float half_to_float(uint32_t half) {
  constexpr uint32_t kRebias = (127 - 15) << 23;
  constexpr uint32_t kLeast = kRebias + (1 << 23);  // 2^-14, the least normal half
  const uint32_t size = (half & 0x7fffu) << 13;
  const uint32_t normal = size + kRebias;
  const uint32_t special = normal + kRebias;  // infinity, NaN
  const uint32_t small = bits_of_float(float_of_bits(size + kLeast) - float_of_bits(kLeast));
  const uint32_t bits = size >= 0x0f800000u ? special : (size < (1u << 23) ? small : normal);
  return float_of_bits(bits | (half & 0x8000u) << 16);
}

// To nearest, ties to even; from 65520 on to infinity; any NaN to one quiet NaN.
RM_HD uint32_t float_to_half(float value) {
  constexpr uint32_t kInfinity = 0x7f800000u;
  constexpr uint32_t kTooLarge = (127 + 16) << 23;   // 65536
  constexpr uint32_t kLeast = (127 - 14) << 23;      // 2^-14
  constexpr uint32_t kUnit = (127 - 14 + 13) << 23;  // a float whose last bit is the last of a subnormal half, 2^-24
  const uint32_t all = bits_of_float(value);
  const uint32_t size = all & 0x7fffffffu;
  const uint32_t small = bits_of_float(float_of_bits(size) + float_of_bits(kUnit)) - kUnit;  // rounded by the addition
  const uint32_t normal = (size - ((127 - 15) << 23) + 0xfffu + (size >> 13 & 1u)) >> 13;
  const uint32_t special = size > kInfinity ? 0x7e00u : 0x7c00u;
  const uint32_t bits = size >= kTooLarge ? special : (size < kLeast ? small : normal);
  return bits | (all >> 16 & 0x8000u);
}

struct Half {
  uint16_t bits;

  Half() = default;
  RM_HD explicit Half(float value) : bits(static_cast<uint16_t>(float_to_half(value))) {}
  RM_HD explicit operator float() const { return half_to_float(bits); }
};

}  // namespace reelmend
