#include "ops/correlate.h"

#include <cstring>

#include "cpu/launch.h"
#include "cpu/ops.h"

namespace reelmend::cpu {
namespace {

constexpr int kGrain = 1;
constexpr int kLanes = 8;   // pixels at once
constexpr int kShifts = 9;  // shifts across at once: all of radius 4
using Lanes = float __attribute__((vector_size(kLanes * sizeof(float))));

// sum[k][i] = gain times the sum over c of a[c][i] b[c][i + k], for kLanes pixels.
template <int kCount>
RM_CLONES void add_channels(const float* __restrict a, int a_apart, const float* __restrict b, int b_apart,
                            int channels, float gain, float (*__restrict to)[kLanes]) {
  Lanes sum[kCount] = {};
  for (int c = 0; c < channels; ++c) {
    Lanes one;
    std::memcpy(&one, a + c * a_apart, sizeof one);
    for (int k = 0; k < kCount; ++k) {
      Lanes other;
      std::memcpy(&other, b + c * b_apart + k, sizeof other);
      sum[k] += one * other;
    }
  }
  for (int k = 0; k < kCount; ++k) {
    const Lanes scaled = sum[k] * gain;
    std::memcpy(to[k], &scaled, sizeof scaled);
  }
}

// The same at the ends of a row and for samples that are not side by side: n <= kLanes pixels from a, and b[c][j] for
// j in 0..n + kCount - 1, of which those from `low` to before `high` lie in the picture.
template <int kCount>
RM_CLONES void add_channels_at_edge(const float* __restrict a, int a_apart, int a_step, const float* __restrict b,
                                    int b_apart, int b_step, int channels, int n, int low, int high, float gain,
                                    float (*__restrict to)[kLanes]) {
  Lanes sum[kCount] = {};
  float one[kLanes] = {}, other[kLanes + kCount] = {};
  for (int c = 0; c < channels; ++c) {
    for (int i = 0; i < n; ++i) one[i] = a[c * a_apart + i * a_step];
    for (int j = low; j < high; ++j) other[j] = b[c * b_apart + j * b_step];
    Lanes here;
    std::memcpy(&here, one, sizeof here);
    for (int k = 0; k < kCount; ++k) {
      Lanes there;
      std::memcpy(&there, other + k, sizeof there);
      sum[k] += here * there;
    }
  }
  for (int k = 0; k < kCount; ++k) {
    const Lanes scaled = sum[k] * gain;
    for (int i = 0; i < n; ++i) to[k][i] = i + k >= low && i + k < high ? scaled[i] : 0.0f;
  }
}

template <int kCount>
void correlate_row(const Stack<const float>& a, const Stack<const float>& b, int y, int j, int dx, int first_plane,
                   const Stack<float>& out) {
  const int width = a.first.width;
  const float gain = 1.0f / static_cast<float>(a.planes);
  float sum[kCount][kLanes];
  const bool flat = a.first.step == 1 && b.first.step == 1;
  for (int x = 0; x < width; x += kLanes) {
    const int n = std::min(kLanes, width - x);
    const float* const from_a = &a.at(0, x, y);
    const float* const from_b = b.first.row(j) + (x + dx) * b.first.step;
    const int low = std::clamp(-(x + dx), 0, n + kCount - 1);
    const int high = std::clamp(width - (x + dx), 0, n + kCount - 1);
    if (flat && n == kLanes && low == 0 && high == n + kCount - 1) {
      add_channels<kCount>(from_a, a.apart, from_b, b.apart, a.planes, gain, sum);
    } else {
      add_channels_at_edge<kCount>(from_a, a.apart, a.first.step, from_b, b.apart, b.first.step, a.planes, n, low, high,
                                   gain, sum);
    }
    for (int k = 0; k < kCount; ++k) {
      float* const to = &out.at(first_plane + k, x, y);
      for (int i = 0; i < n; ++i) to[i * out.first.step] = sum[k][i];
    }
  }
}

}  // namespace

void correlate(const Stack<const float>& a, const Stack<const float>& b, int radius, const Stack<float>& out) {
  const int across = 2 * radius + 1;
  parallel(a.first.height, kGrain, [&](int first, int last) {
    for (int y = first; y < last; ++y) {
      for (int d = 0; d < across; ++d) {
        const int j = y + d - radius;
        if (j < 0 || j >= a.first.height) {
          for (int k = 0; k < across; ++k) {
            for (int x = 0; x < a.first.width; ++x) out.at(d * across + k, x, y) = 0.0f;
          }
          continue;
        }
        int k = 0;
        for (; k + kShifts <= across; k += kShifts) {
          correlate_row<kShifts>(a, b, y, j, k - radius, d * across + k, out);
        }
        for (; k + 3 <= across; k += 3) correlate_row<3>(a, b, y, j, k - radius, d * across + k, out);
        for (; k < across; ++k) correlate_row<1>(a, b, y, j, k - radius, d * across + k, out);
      }
    }
  });
}

}  // namespace reelmend::cpu
