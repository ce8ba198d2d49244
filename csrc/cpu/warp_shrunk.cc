#include "ops/warp_shrunk.h"

#include <type_traits>

#include "cpu/between.h"
#include "cpu/launch.h"
#include "cpu/ops.h"
#include "cpu/sample.h"

namespace reelmend::cpu {
namespace {

constexpr int kGrain = 4;
constexpr int kAcross = 8;  // chunks of a row before the next row, so that memory is read in order

RM_CLONES void middle_row(const float* __restrict b, float* __restrict a, int n) {
  for (int i = 0; i < n; ++i) a[i] = middle(a[i], b[i]);
}

// As if stored and loaded again.
template <class T>
RM_CLONES void round_row(float* __restrict value, float max_code, int n) {
  for (int i = 0; i < n; ++i) value[i] = static_cast<float>(to_sample<T>(value[i], max_code));
}

// The flow at one column of each cell, over a chunk of cells; rows of the picture asked for from top to bottom.
class FlowColumns {
 public:
  void begin(const FlowField<const float>& flow, int first, int apart, int n, int width, int height) {
    flow_ = flow;
    first_ = first;
    apart_ = apart;
    height_ = height;
    whole_ = is_whole(flow, width, height);
    if (!whole_) taps_.aim(first, n, flow.u.width, width, apart);
    for (auto& rows : rows_) rows.begin();
  }

  void read(int y, int n) {
    u = row(flow_.u, 0, y, n);
    v = row(flow_.v, 1, y, n);
  }

  const float *u = nullptr, *v = nullptr;  // of the row read last

 private:
  const float* row(const Plane<const float>& f, int c, int y, int n) {
    if (!whole_) {
      rows_[c].row(f, taps_, y, height_, 1.0f, row_[c]);
      return row_[c];
    }
    const float* const from = f.row(y) + first_ * f.step;
    if (f.step * apart_ == 1) {
      ask_ahead(from);
      return from;
    }
    load_row(from, f.step * apart_, row_[c], n);
    return row_[c];
  }

  FlowField<const float> flow_{};
  ColumnTaps taps_;
  BetweenRows<kRoom> rows_[2];
  int first_ = 0, apart_ = 1, height_ = 0;
  bool whole_ = false;
  float row_[2][kRoom];
};

}  // namespace

template <class T>
void warp_shrunk(const Plane<const T>* in, int count, const FlowField<const float>& flow, int shrink, float max_code,
                 const Plane<T>* out) {
  const int width = in[0].width, height = in[0].height, sides = shrunk_sides(shrink);
  parallel(out[0].height, kGrain, [&](int first, int last) {
    Chunk<SamplerOf<Filter::bilinear, Border::edge>> chunk(width, height, shrink);
    FlowColumns columns[kAcross][2];
    float kept[kMaxPlanes][2][kRoom], value[kRoom];
    const auto cells = [&](FlowColumns* column, int x, int y, int n) {
      for (int j = 0; j < sides; ++j) {
        const int row = shrunk_place(y, shrink, j);
        for (int i = 0; i < sides; ++i) {
          column[i].read(row, n);
          chunk.aim_rows(column[i].u, column[i].v, 1.0f, shrunk_place(x, shrink, i), row, n);
          for (int c = 0; c < count; ++c) {
            float* const to = i == 0 ? kept[c][j] : value;
            chunk.sample(in[c], to, n);
            if constexpr (!std::is_same_v<T, float>) round_row<T>(to, max_code, n);
            if (i > 0) middle_row(value, kept[c][j], n);
          }
        }
      }
      for (int c = 0; c < count; ++c) {
        if (sides > 1) middle_row(kept[c][1], kept[c][0], n);
        store_row(kept[c][0], out[c].row(y) + x * out[c].step, out[c].step, max_code, n);
      }
    };
    const auto size = [&](int x) { return std::min(kPixels, out[0].width - x); };
    for (int left = 0; left < out[0].width; left += kAcross * kPixels) {
      const int right = std::min(left + kAcross * kPixels, out[0].width);
      for (int x = left; x < right; x += kPixels) {
        for (int i = 0; i < sides; ++i) {
          columns[(x - left) / kPixels][i].begin(flow, shrunk_place(x, shrink, i), shrink, size(x), width, height);
        }
      }
      for (int y = first; y < last; ++y) {
        for (int x = left; x < right; x += kPixels) cells(columns[(x - left) / kPixels], x, y, size(x));
      }
    }
  });
}

#define RM_WARP_SHRUNK(T) \
  template void warp_shrunk<T>(const Plane<const T>*, int, const FlowField<const float>&, int, float, const Plane<T>*);
RM_WARP_SHRUNK(uint8_t)
RM_WARP_SHRUNK(uint16_t)
RM_WARP_SHRUNK(Half)
RM_WARP_SHRUNK(float)

}  // namespace reelmend::cpu
