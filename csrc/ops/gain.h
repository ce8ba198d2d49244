// A field of gains over a picture: a bilateral grid (Chen, Paris, Durand 2007) of gains per channel, sliced per pixel.
//
// Cell i of n covers samples i W / n up to (i + 1) W / n of a row of W, so its centre lies at (i + 1/2) W / n - 1/2 in
// sample coordinates, and sample x lies at (x + 1/2) n / W - 1/2 in cells. Between centres gains run linearly, beyond
// the outer ones they are constant; so they do between the bins of luma, of which bin k is centred at (k + 1/2) / bins.
//
// The order of the sums, the same on CPU and GPU: rows of the grid, then columns, then bins.
#pragma once

#include "ops/color.h"

namespace reelmend {

constexpr int kMaxGains = 2048;  // columns times bins: what a worker on the CPU keeps of a channel and row

// Positions along an axis of the grid, in cells.
struct GridAxis {
  float scale;  // cells a sample; along bins, bins a unit of luma
  float last;   // cells - 1
};

inline GridAxis make_axis(int cells, double size) {
  return {static_cast<float>(cells / size), static_cast<float>(cells - 1)};
}

// 0 .. last: the cell (or bin) whose centre is left of here, and how far away that is.
RM_HD float grid_position(const GridAxis& a, float sample) {
  return min_f(max_f(sample * a.scale - 0.5f, 0.0f), a.last);
}
RM_HD float grid_position(const GridAxis& a, int sample) {
  return grid_position(a, static_cast<float>(sample) + 0.5f);
}

// A bin's share in the gain at a position: 1 at its centre, 0 at its neighbours' and beyond.
RM_HD float bin_share(float position, int bin) {
  const float d = position - static_cast<float>(bin);
  return max_f(1.0f - max_f(d, -d), 0.0f);
}

struct GainField {
  const float* gains = nullptr;     // (3, bins, rows, columns); none if null
  const float* response = nullptr;  // (3, size) beside the curves' changes
  int bins = 1, rows = 1, columns = 1;
  GridAxis x{}, y{}, luma{};

  RM_HD const float* row(int channel, int bin, int i) const {
    return gains + ((channel * bins + bin) * rows + i) * columns;
  }
};

// `peak` is the luma of white.
inline GainField make_field(const float* gains, const float* response, int bins, int rows, int columns, int width,
                            int height, double peak) {
  return {
      gains, response, bins, rows, columns, make_axis(columns, width), make_axis(rows, height), make_axis(bins, peak)};
}

// The gains at one pixel, for the GPU.
struct GainTap {
  int x0, x1, y0, y1, k;
  float wx, wy, p;
};

RM_HD GainTap gain_tap(const GainField& f, int x, int y, float luma) {
  const float px = grid_position(f.x, x);
  const float py = grid_position(f.y, y);
  const float p = grid_position(f.luma, luma);
  const int ix = static_cast<int>(px);
  const int iy = static_cast<int>(py);
  return {ix,
          ix + 1 < f.columns ? ix + 1 : ix,
          iy,
          iy + 1 < f.rows ? iy + 1 : iy,
          static_cast<int>(p),
          px - static_cast<float>(ix),
          py - static_cast<float>(iy),
          p};
}

RM_HD float gain_of_bin(const GainField& f, const GainTap& t, int channel, int bin) {
  const float* const a = f.row(channel, bin, t.y0);
  const float* const b = f.row(channel, bin, t.y1);
  return lerp(lerp(a[t.x0], b[t.x0], t.wy), lerp(a[t.x1], b[t.x1], t.wy), t.wx);
}

RM_HD float gain_at(const GainField& f, const GainTap& t, int channel) {
  if (f.bins == 1) return gain_of_bin(f, t, channel, 0);
  const int next = t.k + 1 < f.bins ? t.k + 1 : t.k;
  return bin_share(t.p, t.k) * gain_of_bin(f, t, channel, t.k) +
         bin_share(t.p, t.k + 1) * gain_of_bin(f, t, channel, next);
}

}  // namespace reelmend
