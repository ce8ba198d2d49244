// The CUDA launchers: as cpu/ops.h, on a stream, returning the launch's error. All pointers are to device memory.
#pragma once

#include <cuda_runtime.h>

#include "cpu/ops.h"  // the view types

namespace reelmend::cuda {

using cpu::RgbPlanes;
using cpu::Yuv;

template <class In, class Out>
cudaError_t yuv_to_rgb(const Yuv<const In>& in, const YuvCoding& coding, const Siting& siting,
                       const RgbPlanes<Out>& out, float max_out, cudaStream_t stream);
template <class In, class Out>
cudaError_t rgb_to_yuv(const RgbPlanes<const In>& in, const YuvCoding& coding, const Siting& siting,
                       const Yuv<Out>& out, bool dither, cudaStream_t stream);
template <class T>
cudaError_t histogram_rgb(const RgbPlanes<const T>& in, float peak, const Sampling& at, int bins, int* counts,
                          cudaStream_t stream);
template <class T>
cudaError_t histogram_yuv(const Yuv<const T>& in, const YuvCoding& coding, const Siting& siting, const Sampling& at,
                          int bins, int* counts, cudaStream_t stream);
cudaError_t quantiles(const int* histograms, int rows, int bins, int points, float* out, cudaStream_t stream);
cudaError_t smooth(const float* tables, const float* weights, int count, int n, float* out, cudaStream_t stream);
template <class In, class Out>
cudaError_t apply_lut(const Plane<const In>& in, const float* lut, int lut_size, float max_code, bool dither,
                      const Plane<Out>& out, cudaStream_t stream);
template <class T>
cudaError_t map_tones(const Yuv<const T>& in, const YuvCoding& coding, const Siting& siting, const ToneMap& map,
                      bool dither, const Yuv<T>& out, cudaStream_t stream);
template <class T>
cudaError_t map_tones_rgb(const RgbPlanes<const T>& in, const YuvCoding& coding, const ToneMap& map, bool dither,
                          const RgbPlanes<T>& out, cudaStream_t stream);
template <class T>
cudaError_t map_tones_gray(const Plane<const T>& in, const YuvCoding& coding, const ToneMap& map, bool dither,
                           const Plane<T>& out, cudaStream_t stream);
template <class T>
cudaError_t exposure_yuv(const Yuv<const T>& in, const YuvCoding& coding, const Siting& siting,
                         const ExposureRule& rule, const Plane<uint8_t>& out, cudaStream_t stream);
template <class T>
cudaError_t exposure_rgb(const RgbPlanes<const T>& in, float scale, const ExposureRule& rule, const Plane<uint8_t>& out,
                         cudaStream_t stream);
template <class T>
cudaError_t area_mean(const Plane<const T>& in, int columns, int rows, float* out, cudaStream_t stream);
template <class T>
cudaError_t resize(const Plane<const T>& in, Resizing filter, float gain, float max_code, const Plane<T>& out,
                   cudaStream_t stream);
template <class T>
cudaError_t warp(const Plane<const T>* in, int count, const Flow& flow, Sampler sampler, float max_code,
                 const Plane<T>* out, cudaStream_t stream);
template <class T>
cudaError_t warp_blend(const Plane<const T>* a, const Plane<const T>* b, int count, const Flow& flow_a,
                       const Flow& flow_b, const Weight& weight, Sampler sampler, float max_code, const Plane<T>* out,
                       cudaStream_t stream);
template <class T>
cudaError_t warp_shrunk(const Plane<const T>* in, int count, const FlowField<const float>& flow, int shrink,
                        float max_code, const Plane<T>* out, cudaStream_t stream);
template <class T>
cudaError_t sharpen(const Plane<const T>* in, int count, const Stack<const float>& gains, float max_code,
                    const Plane<T>* out, cudaStream_t stream);
cudaError_t consistency(const FlowField<const float>& forward, const FlowField<const float>& backward,
                        const ConsistencyRule& rule, const Plane<float>& out, cudaStream_t stream);
cudaError_t flows_at(const FlowField<const float>& forward, const FlowField<const float>& backward,
                     const FlowWeights& weights, const FlowField<float>& first, const FlowField<float>& second,
                     cudaStream_t stream);
cudaError_t median_flow(const FlowField<const float>& in, int size, const FlowField<float>& out, cudaStream_t stream);
template <class T>
cudaError_t bilateral_flow(const FlowField<const float>& flow, const Plane<const T>& guide,
                           const Plane<const float>& confidence, const BilateralTables& tables,
                           const FlowField<float>& out, cudaStream_t stream);
template <class T>
cudaError_t compose(const Terms<T>& in, Sampler sampler, float max_code, const Plane<T>* out, cudaStream_t stream);
cudaError_t trace(const FlowField<const float>& flow, const FlowField<const float>& beyond, const Tracing& rule,
                  const FlowField<float>& to_first, const FlowField<float>& to_second, cudaStream_t stream);
template <class T>
cudaError_t overlay(const Plane<const T>& a, const Plane<const T>& b, const FlowField<const float>& flow,
                    const OverlayRule& rule, const Plane<uint8_t>& count, cudaStream_t stream);
template <class T>
cudaError_t adaptive_warp(const Plane<const T>* in, int count, const Flow& flow, const Stack<const float>& taps,
                          float max_code, const Plane<T>* out, cudaStream_t stream);
cudaError_t correlate(const Stack<const float>& a, const Stack<const float>& b, int radius, const Stack<float>& out,
                      cudaStream_t stream);
template <class T>
cudaError_t lay_over(const Plane<const T>& source, const Plane<const uint8_t>& count, int least, const Plane<T>& out,
                     cudaStream_t stream);

cudaError_t block_copy(const Plane<const uint8_t>& in, int window, uint8_t* out, cudaStream_t stream);
cudaError_t block_halve(const uint8_t* in, int width, int height, int window, uint8_t* out, cudaStream_t stream);
cudaError_t block_search(const uint8_t* a, const uint8_t* b, const BlockGrid& g, const BlockField& coarse,
                         const Plane<const float>& hint_u, const Plane<const float>& hint_v, int level, int radius,
                         const BlockField& out, cudaStream_t stream);
cudaError_t block_spread(const uint8_t* a, const uint8_t* b, const BlockGrid& g, const BlockField& in,
                         const BlockField& out, cudaStream_t stream);
cudaError_t block_fractions(const uint8_t* a, const uint8_t* b, const BlockGrid& g, const BlockField& in,
                            const Plane<float>& u, const Plane<float>& v, const Plane<float>& cost,
                            cudaStream_t stream);
cudaError_t dense_level(const Plane<const uint8_t>& a, const Plane<const uint8_t>& b, const Coarser& coarser,
                        const Search& search, int rounds, const Padded<float>& padded_a, const Padded<float>& padded_b,
                        const PatchGrid<float>& patches, const PatchGrid<float>& others, const FlowField<float>& out,
                        cudaStream_t stream);

// Bytes of scratch a pixel: 8 times Cell::kSums, and 4 where splat has a metric.
template <class T>
int64_t splat_words(int width, int height, int count, Splat mode, int workers);
template <class T>
cudaError_t splat(const Plane<const T>* in, int count, const Flow& flow, Splat mode, const Plane<const float>& metric,
                  float max_code, const Plane<T>* out, const Plane<float>& coverage, int* scratch, int64_t words,
                  cudaStream_t stream);
int64_t project_words(int width, int height, bool weighted, int workers);
cudaError_t project_flow(const Flow& flow, const Plane<const float>& weight, bool fill, const Plane<float>& u,
                         const Plane<float>& v, const Plane<uint8_t>& holes, int* scratch, int64_t words,
                         cudaStream_t stream);

}  // namespace reelmend::cuda
