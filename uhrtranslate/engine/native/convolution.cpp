// 3x3 convolutions of feature maps [h, w, c]: of each channel alone, and, by minimal filtering, of all.
//
// F(6 x 6, 3 x 3) of Lavin and Gray ("Fast algorithms for convolutional neural networks", 2016): a
// patch of 8 x 8 px and a filter are each transformed to 64 values, multiplied value by value (summed
// up over channels, so 64 small matrix products), and transformed back to 6 x 6 px: 64 products where
// the definition takes 324. Filters are transformed anew each time, which takes a fiftieth of the time
// for 128 x 128 px of 256 channels, and saves seven times the memory of the weights.

#include <omp.h>

#include <cstdint>
#include <cstring>
#include <vector>

#include "vectors.h"

namespace {

constexpr int64_t SIDE = 6, PATCH = SIDE + 2, VALUES = PATCH * PATCH;
#ifdef __AVX512F__
constexpr int64_t HIGH = 12, WIDE = 2;  // patches, and vectors of outputs, that registers hold
#else
constexpr int64_t HIGH = 6, WIDE = 1;
#endif
constexpr int64_t PANEL = WIDE * LANES;
constexpr int64_t AT_ONCE = 48;  // patches, at most, whose values stay in the processor's cache

// How far apart lists of so many values are: not by whole pages, which caches keep in one place.
constexpr int64_t apart(int64_t values) { return values + PANEL; }

// A line of a patch of px to values that are multiplied, for the points 0, 1, -1, 2, -2, 1/2, -1/2
// and infinity.
inline void line_of_px(const Vec* d, Vec* to) {
    const Vec a = d[2] - 4.25f * d[4] + d[6], b = d[1] - 4.25f * d[3] + d[5];
    const Vec e = d[6] + 0.25f * d[2] - 1.25f * d[4], f = 0.5f * d[1] - 2.5f * d[3] + 2 * d[5];
    const Vec g = d[6] + 4 * d[2] - 5 * d[4], h = 2 * d[1] - 2.5f * d[3] + 0.5f * d[5];
    to[0] = d[0] - d[6] + 5.25f * (d[4] - d[2]);
    to[1] = a + b;
    to[2] = a - b;
    to[3] = e + f;
    to[4] = e - f;
    to[5] = g + h;
    to[6] = g - h;
    to[7] = d[7] - d[1] + 5.25f * (d[3] - d[5]);
}

// The way back: a line of products to px.
inline void line_of_products(const Vec* v, Vec* to) {
    const Vec a = v[1] + v[2], b = v[1] - v[2], e = v[3] + v[4], f = v[3] - v[4];
    const Vec g = v[5] + v[6], h = v[5] - v[6];
    to[0] = v[0] + a + e + g;
    to[1] = b + 2 * f + 0.5f * h;
    to[2] = a + 4 * e + 0.25f * g;
    to[3] = b + 8 * f + 0.125f * h;
    to[4] = a + 16 * e + 0.0625f * g;
    to[5] = b + 32 * f + 0.03125f * h + v[7];
}

// A line of a filter to values that are multiplied.
inline void line_of_filter(const Vec* g, Vec* to) {
    const Vec a = (-2 / 9.f) * (g[0] + g[2]), b = (-2 / 9.f) * g[1];
    const Vec e = (1 / 90.f) * (g[0] + 4 * g[2]), f = (1 / 45.f) * g[1];
    const Vec p = (8 / 45.f) * (4 * g[0] + g[2]), q = (16 / 45.f) * g[1];
    to[0] = g[0];
    to[1] = a + b;
    to[2] = a - b;
    to[3] = e + f;
    to[4] = e - f;
    to[5] = p + q;
    to[6] = p - q;
    to[7] = g[2];
}

// Lines first, then the columns of what they have become.
template <void (*LINE)(const Vec*, Vec*), int64_t FROM, int64_t TO, class From, class To>
inline void transform(From from, To to) {
    Vec part[FROM][TO], line[FROM], made[TO];
    for (int64_t row = 0; row < FROM; row++) {
        for (int64_t col = 0; col < FROM; col++) line[col] = from(row, col);
        LINE(line, part[row]);
    }
    for (int64_t col = 0; col < TO; col++) {
        for (int64_t row = 0; row < FROM; row++) line[row] = part[row][col];
        LINE(line, made);
        for (int64_t row = 0; row < TO; row++) to(row, col, made[row]);
    }
}

// Filters [k, c, 3, 3], each as 64 values that are so far apart: [panels, c, PANEL].
void transform_filters(const float* weight, int64_t k, int64_t c, float* to, int64_t step,
                       int threads) {
    const int64_t many = (k + PANEL - 1) / PANEL * WIDE;
#pragma omp parallel for collapse(2) schedule(static) num_threads(threads)
    for (int64_t i = 0; i < many; i++)
        for (int64_t channel = 0; channel < c; channel++) {
            Vec tap[9];
            for (int64_t lane = 0; lane < LANES; lane++) {
                // Those beyond the last are never looked at.
                const int64_t output = i * LANES + lane < k ? i * LANES + lane : k - 1;
                const float* from = weight + (output * c + channel) * 9;
                for (int64_t t = 0; t < 9; t++) tap[t][lane] = from[t];
            }
            float* place = to + (i / WIDE * c + channel) * PANEL + i % WIDE * LANES;
            transform<line_of_filter, 3, PATCH>(
                [&](int64_t row, int64_t col) { return tap[row * 3 + col]; },
                [&](int64_t row, int64_t col, Vec value) {
                    store(place + (row * PATCH + col) * step, value, LANES);
                });
        }
}

// The products of some patches and outputs, summed up over c: a [HIGH, c] by b [c, PANEL].
inline void multiply(const float* a, int64_t c, const float* b, float* to, int64_t step) {
    Vec sum[HIGH][WIDE] = {};
    for (int64_t i = 0; i < c; i++)
        for (int64_t row = 0; row < HIGH; row++)
            for (int64_t col = 0; col < WIDE; col++)
                sum[row][col] += splat(a[row * c + i]) * load(b + i * PANEL + col * LANES, LANES);
    for (int64_t row = 0; row < HIGH; row++)
        for (int64_t col = 0; col < WIDE; col++)
            store(to + row * step + col * LANES, sum[row][col], LANES);
}

// A patch of 8 x 8 px as 64 values that are so far apart: [c].
inline void patch_in(const float* x, int64_t width, int64_t c, const int32_t* down,
                     const int32_t* right, const float* nothing, float* to, int64_t step) {
    for (int64_t i = 0; i < c; i += LANES)
        transform<line_of_px, PATCH, PATCH>(
            [&](int64_t row, int64_t col) {
                const bool inside = down[row] >= 0 && right[col] >= 0;
                const float* from = inside ? x + (down[row] * width + right[col]) * c : nothing;
                return load(from + i, c - i);
            },
            [&](int64_t row, int64_t col, Vec value) {
                store(to + (row * PATCH + col) * step + i, value, c - i);
            });
}

// The way back to 6 x 6 places, or to what of them the result has, bias added.
inline void patch_out(const float* from, int64_t step, const float* bias, int64_t k, float* to,
                      int64_t down, int64_t right, int64_t high, int64_t wide) {
    for (int64_t i = 0; i < k; i += LANES) {
        const Vec shift = bias ? load(bias + i, k - i) : Vec{};
        transform<line_of_products, PATCH, SIDE>(
            [&](int64_t row, int64_t col) {
                return load(from + (row * PATCH + col) * step + i, k - i);
            },
            [&](int64_t row, int64_t col, Vec value) {
                if (row < high && col < wide)
                    store(to + row * down + col * right + i, value + shift, k - i);
            });
    }
}

// How many patches of `count` a thread takes at once, so that all threads have some of each sample.
int64_t taken_at_once(int64_t samples, int64_t count, int64_t threads) {
    int64_t parts = samples * ((count + AT_ONCE - 1) / AT_ONCE);
    parts = (parts + threads - 1) / threads * threads;
    const int64_t many = (samples * count + parts - 1) / parts;
    return (many + HIGH - 1) / HIGH * HIGH;
}

// Each channel by its own filter [9, c], at every second place: [h, w, c].
template <class T>
void halve(const T* x, T* y, int64_t width, int64_t c, const int32_t* ys, const int32_t* xs,
           int64_t h, int64_t w, const float* filter, int threads) {
#pragma omp parallel for schedule(static) num_threads(threads)
    for (int64_t row = 0; row < h; row++)
        for (int64_t col = 0; col < w; col++) {
            const T* from[9];
            for (int64_t t = 0; t < 9; t++)
                from[t] = x + (ys[2 * row + t / 3] * width + xs[2 * col + t % 3]) * c;
            for (int64_t i = 0; i < c; i += LANES) {
                Vec sum = {};
                for (int64_t t = 0; t < 9; t++)
                    sum += load(from[t] + i, c - i) * load(filter + t * c + i, c - i);
                store(y + (row * w + col) * c + i, sum, c - i);
            }
        }
}

}  // namespace

extern "C" {

// A 3x3 convolution of each channel alone, at every second place.
//
// x: [., width, c]; y: [h, w, c]; filter: [9, c].
// ys, xs: [2h + 1], [2w + 1], which rows and columns of x it is of.
void uhrt_halve(const void* x, void* y, int32_t half, int64_t width, int64_t c, const int32_t* ys,
                const int32_t* xs, int64_t h, int64_t w, const float* filter, int32_t threads) {
    if (half)
        halve(static_cast<const bfloat16*>(x), static_cast<bfloat16*>(y), width, c, ys, xs, h, w,
              filter, threads);
    else
        halve(static_cast<const float*>(x), static_cast<float*>(y), width, c, ys, xs, h, w, filter,
              threads);
}

// Values of room that `uhrt_convolve` needs.
int64_t uhrt_convolve_room(int64_t c, int64_t outputs, int32_t threads) {
    const int64_t step = (outputs + PANEL - 1) / PANEL * PANEL;
    return VALUES * (apart(step * c) + threads * (apart(AT_ONCE * c) + apart(AT_ONCE * step)));
}

// A 3x3 convolution, of whose outputs scale x scale are px side by side, each of k channels.
//
// x: [samples, ., width, c]; `size` values a sample.
// ys, xs: [h + 2], [w + 2], which rows and columns of x it is of; -1 stands for zeros.
// weight: [scale * scale * k, c, 3, 3]; bias: [k], or null; y: [samples, scale * h, scale * w, k].
void uhrt_convolve(const float* x, int64_t samples, int64_t size, int64_t width, int64_t c,
                   const int32_t* ys, const int32_t* xs, const float* weight, const float* bias,
                   int64_t k, int64_t scale, float* y, int64_t h, int64_t w, float* room,
                   int32_t threads) {
    const int64_t rows = (h + SIDE - 1) / SIDE, cols = (w + SIDE - 1) / SIDE, count = rows * cols;
    const int64_t step = (scale * scale * k + PANEL - 1) / PANEL * PANEL, between = apart(step * c);
    const int64_t before = apart(AT_ONCE * c), after = apart(AT_ONCE * step);
    const int64_t at_once = taken_at_once(samples, count, threads);
    const int64_t parts = (count + at_once - 1) / at_once;
    std::vector<int32_t> down(rows * SIDE + 2, -1), right(cols * SIDE + 2, -1);
    std::memcpy(down.data(), ys, (h + 2) * sizeof(int32_t));
    std::memcpy(right.data(), xs, (w + 2) * sizeof(int32_t));
    const std::vector<float> nothing(c);
    transform_filters(weight, scale * scale * k, c, room, between, threads);
#pragma omp parallel for schedule(static) num_threads(threads)
    for (int64_t part = 0; part < samples * parts; part++) {
        float* values = room + VALUES * (between + omp_get_thread_num() * (before + after));
        float* products = values + VALUES * before;
        const float* from = x + part / parts * size;
        float* to = y + part / parts * h * w * scale * scale * k;
        const int64_t first = part % parts * at_once;
        const int64_t many = count - first < at_once ? count - first : at_once;
        for (int64_t p = 0; p < many; p++)
            patch_in(from, width, c, &down[(first + p) / cols * SIDE],
                     &right[(first + p) % cols * SIDE], nothing.data(), values + p * c, before);
        for (int64_t v = 0; v < VALUES; v++)
            for (int64_t p = 0; p < many; p += HIGH)
                for (int64_t i = 0; i < step; i += PANEL)
                    multiply(values + v * before + p * c, c, room + v * between + i * c,
                             products + v * after + p * step + i, step);
        for (int64_t p = 0; p < many; p++) {
            const int64_t top = (first + p) / cols * SIDE, left = (first + p) % cols * SIDE;
            for (int64_t j = 0; j < scale * scale; j++) {
                const int64_t at = (top * scale + j / scale) * w * scale + left * scale + j % scale;
                patch_out(products + p * step + j * k, after, bias, k, to + at * k,
                          w * scale * scale * k, scale * k, h - top, w - left);
            }
        }
    }
}

}  // extern "C"
