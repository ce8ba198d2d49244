// The bits of a float.
#pragma once

#include <bit>
#include <cstdint>

#include "core/view.h"

namespace reelmend {

RM_HD float float_of_bits(uint32_t bits) {
#if defined(__CUDA_ARCH__)
  return __uint_as_float(bits);
#else
  return std::bit_cast<float>(bits);
#endif
}
RM_HD uint32_t bits_of_float(float value) {
#if defined(__CUDA_ARCH__)
  return __float_as_uint(value);
#else
  return std::bit_cast<uint32_t>(value);
#endif
}

}  // namespace reelmend
