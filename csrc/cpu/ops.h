// The CPU launchers. None allocates; all take views that the caller has checked; rows run on the pool.
#pragma once

#include "core/view.h"
#include "ops/adaptive.h"
#include "ops/bilateral.h"
#include "ops/blocks.h"
#include "ops/color.h"
#include "ops/compose.h"
#include "ops/correlate.h"
#include "ops/dense.h"
#include "ops/exposure.h"
#include "ops/flow.h"
#include "ops/histogram.h"
#include "ops/resize.h"
#include "ops/sharpen.h"
#include "ops/splat.h"
#include "ops/tone.h"
#include "ops/warp.h"
#include "ops/warp_shrunk.h"

namespace reelmend::cpu {

template <class T>
struct Yuv {
  Plane<T> y, u, v;
};

template <class T>
struct RgbPlanes {
  Plane<T> r, g, b;
};

template <class In, class Out>
void yuv_to_rgb(const Yuv<const In>& in, const YuvCoding& coding, const Siting& siting, const RgbPlanes<Out>& out,
                float max_out);

template <class In, class Out>
void rgb_to_yuv(const RgbPlanes<const In>& in, const YuvCoding& coding, const Siting& siting, const Yuv<Out>& out,
                bool dither);

// counts: kHistograms rows of `bins`; added to, not cleared.
template <class T>
void histogram_rgb(const RgbPlanes<const T>& in, float peak, const Sampling& at, int bins, int* counts);
template <class T>
void histogram_yuv(const Yuv<const T>& in, const YuvCoding& coding, const Siting& siting, const Sampling& at, int bins,
                   int* counts);

void quantiles(const int* histograms, int rows, int bins, int points, float* out);
void smooth(const float* tables, const float* weights, int count, int n, float* out);

template <class In, class Out>
void apply_lut(const Plane<const In>& in, const float* lut, int lut_size, float max_code, bool dither,
               const Plane<Out>& out);

template <class T>
void map_tones(const Yuv<const T>& in, const YuvCoding& coding, const Siting& siting, const ToneMap& map, bool dither,
               const Yuv<T>& out);
template <class T>
void map_tones_rgb(const RgbPlanes<const T>& in, const YuvCoding& coding, const ToneMap& map, bool dither,
                   const RgbPlanes<T>& out);
template <class T>
void map_tones_gray(const Plane<const T>& in, const YuvCoding& coding, const ToneMap& map, bool dither,
                    const Plane<T>& out);

// R, G, B of rgb: codes times `scale`, so that white is at rule.last.
template <class T>
void exposure_yuv(const Yuv<const T>& in, const YuvCoding& coding, const Siting& siting, const ExposureRule& rule,
                  const Plane<uint8_t>& out);
template <class T>
void exposure_rgb(const RgbPlanes<const T>& in, float scale, const ExposureRule& rule, const Plane<uint8_t>& out);

template <class T>
void area_mean(const Plane<const T>& in, int columns, int rows, float* out);

// Results are multiplied by `gain`.
template <class T>
void resize(const Plane<const T>& in, Resizing filter, float gain, float max_code, const Plane<T>& out);

// `count` planes of one size, at most kMaxPlanes; flows and weights are of the size of `out`.
template <class T>
void warp(const Plane<const T>* in, int count, const Flow& flow, Sampler sampler, float max_code, const Plane<T>* out);
template <class T>
void warp_blend(const Plane<const T>* a, const Plane<const T>* b, int count, const Flow& flow_a, const Flow& flow_b,
                const Weight& weight, Sampler sampler, float max_code, const Plane<T>* out);
// Planes of a size that `shrink`, 1 or even, divides; the flow of any size.
template <class T>
void warp_shrunk(const Plane<const T>* in, int count, const FlowField<const float>& flow, int shrink, float max_code,
                 const Plane<T>* out);

// gains: 3 planes, across, down and around, of any size.
template <class T>
void sharpen(const Plane<const T>* in, int count, const Stack<const float>& gains, float max_code, const Plane<T>* out);

// All of one size.
void consistency(const FlowField<const float>& forward, const FlowField<const float>& backward,
                 const ConsistencyRule& rule, const Plane<float>& out);
void flows_at(const FlowField<const float>& forward, const FlowField<const float>& backward, const FlowWeights& weights,
              const FlowField<float>& first, const FlowField<float>& second);
void median_flow(const FlowField<const float>& in, int size, const FlowField<float>& out);  // size: 3 or 5
template <class T>
void bilateral_flow(const FlowField<const float>& flow, const Plane<const T>& guide,
                    const Plane<const float>& confidence, const BilateralTables& tables, const FlowField<float>& out);
// taps: 16 planes, rows of four from the top.
template <class T>
void adaptive_warp(const Plane<const T>* in, int count, const Flow& flow, const Stack<const float>& taps,
                   float max_code, const Plane<T>* out);
void correlate(const Stack<const float>& a, const Stack<const float>& b, int radius, const Stack<float>& out);

// Flows and weight maps of all terms are of one size.
template <class T>
void compose(const Terms<T>& in, Sampler sampler, float max_code, const Plane<T>* out);
// beyond.u.data may be null: no acceleration then.
void trace(const FlowField<const float>& flow, const FlowField<const float>& beyond, const Tracing& rule,
           const FlowField<float>& to_first, const FlowField<float>& to_second);
// count, in samples side by side, is read and written.
template <class T>
void overlay(const Plane<const T>& a, const Plane<const T>& b, const FlowField<const float>& flow,
             const OverlayRule& rule, const Plane<uint8_t>& count);
// Samples of `source` where the overlay is; `count` in samples side by side, no smaller than `out`, which is changed.
template <class T>
void lay_over(const Plane<const T>& source, const Plane<const uint8_t>& count, int least, const Plane<T>& out);

// Block motion (ops/blocks.h). Copies of pictures have block_pitch samples a row and a margin on all sides. Fields are
// of g.rows x g.columns blocks; coarse.data or hint_u.data may be null.
void block_copy(const Plane<const uint8_t>& in, int window, uint8_t* out);
void block_halve(const uint8_t* in, int width, int height, int window, uint8_t* out);
void block_search(const uint8_t* a, const uint8_t* b, const BlockGrid& g, const BlockField& coarse,
                  const Plane<const float>& hint_u, const Plane<const float>& hint_v, int level, int radius,
                  const BlockField& out);
void block_spread(const uint8_t* a, const uint8_t* b, const BlockGrid& g, const BlockField& in, const BlockField& out);
void block_fractions(const uint8_t* a, const uint8_t* b, const BlockGrid& g, const BlockField& in,
                     const Plane<float>& u, const Plane<float>& v, const Plane<float>& cost);

// One level of dense inverse search; `rounds` of searches, 1 or more; all from `padded_a` to `others` is scratch.
void dense_level(const Plane<const uint8_t>& a, const Plane<const uint8_t>& b, const Coarser& coarser,
                 const Search& search, int rounds, const Padded<float>& padded_a, const Padded<float>& padded_b,
                 const PatchGrid<float>& patches, const PatchGrid<float>& others, const FlowField<float>& out);

// `scratch` holds `words` int32: as many as splat_words (project_words) says for the workers there are, or fewer, and
// fewer of them work; at least those of one. `metric` is not read where the mode is average.
template <class T>
int64_t splat_words(int width, int height, int count, Splat mode, int workers);
template <class T>
void splat(const Plane<const T>* in, int count, const Flow& flow, Splat mode, const Plane<const float>& metric,
           float max_code, const Plane<T>* out, const Plane<float>& coverage, int* scratch, int64_t words);

// `weight` may have null data: all pixels weigh the same. flow.scale is t; (u, v) and holes are the results.
int64_t project_words(int width, int height, bool weighted, int workers);
void project_flow(const Flow& flow, const Plane<const float>& weight, bool fill, const Plane<float>& u,
                  const Plane<float>& v, const Plane<uint8_t>& holes, int* scratch, int64_t words);

}  // namespace reelmend::cpu
