// Passes over feature maps that lie in memory as [h, w, c], channels innermost.
//
// Compiled once per machine by `build.py`, called through `operations.py`. Every value is computed in
// one order, whatever the number of threads.

#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

#include "vectors.h"

namespace {

constexpr int64_t PIECE = 512;  // px whose sums are added up in float

// Mean and sum of squared differences from it, of each channel of some px.
template <class T>
void moments_of_piece(const T* x, int64_t px, int64_t c, float* mean, float* squares) {
    constexpr int64_t GROUP = 4;  // vectors, so that whole cache lines are used
    for (int64_t first = 0; first < c; first += GROUP * LANES) {
        const int64_t many = (c - first + LANES - 1) / LANES;
        const int64_t groups = many < GROUP ? many : GROUP;
        Vec sum[GROUP] = {}, square[GROUP] = {}, centre[GROUP] = {}, rest[GROUP] = {};
        for (int64_t p = 0; p < px; p++)
            for (int64_t g = 0; g < groups; g++) {
                const int64_t i = first + g * LANES;
                sum[g] += load(x + p * c + i, c - i);
            }
        for (int64_t g = 0; g < groups; g++) centre[g] = sum[g] / splat(float(px));
        for (int64_t p = 0; p < px; p++)
            for (int64_t g = 0; g < groups; g++) {
                const int64_t i = first + g * LANES;
                const Vec away = load(x + p * c + i, c - i) - centre[g];
                rest[g] += away;
                square[g] += away * away;
            }
        for (int64_t g = 0; g < groups; g++) {
            const int64_t i = first + g * LANES;
            const Vec shift = rest[g] / splat(float(px));  // what rounding left of the mean
            store(mean + i, centre[g] + shift, c - i);
            store(squares + i, square[g] - rest[g] * shift, c - i);
        }
    }
}

template <class T>
void moments(const T* x, int64_t px, int64_t c, float* mean, float* squares, int threads) {
    const int64_t pieces = (px + PIECE - 1) / PIECE;
    std::vector<float> means(pieces * c), sums(pieces * c);
#pragma omp parallel for schedule(static) num_threads(threads)
    for (int64_t p = 0; p < pieces; p++) {
        const int64_t many = p + 1 < pieces ? PIECE : px - p * PIECE;
        moments_of_piece(x + p * PIECE * c, many, c, &means[p * c], &sums[p * c]);
    }
    std::vector<double> centre(c), spread(c);
    auto count = [&](int64_t p) { return double(p + 1 < pieces ? PIECE : px - p * PIECE); };
    for (int64_t p = 0; p < pieces; p++)
        for (int64_t i = 0; i < c; i++) centre[i] += means[p * c + i] * count(p);
    for (int64_t i = 0; i < c; i++) centre[i] /= double(px);
    for (int64_t p = 0; p < pieces; p++)
        for (int64_t i = 0; i < c; i++) {
            const double away = means[p * c + i] - centre[i];
            spread[i] += sums[p * c + i] + away * away * count(p);
        }
    for (int64_t i = 0; i < c; i++) {
        mean[i] = float(centre[i]);
        squares[i] = float(spread[i]);
    }
}

}  // namespace

extern "C" {

// What is done to a value once it is normalized.
struct Finish {
    const float* weight;  // [c], or null
    const float* bias;    // [c], or null
    const void* added;    // as x, or null
    float slope;          // of negative values: 1 leaves them, 0 is ReLU
};

// A field in factored form, of one sample.
struct Field {
    const float* centre;        // [h, q, c]
    const float* scale;         // [h, q, c]
    const float* share;         // [w, most]: weights of the columns that a pixel uses, or null for 1
    const int32_t* column;      // [w, most]
    int64_t columns;            // q
    int64_t most;
    int64_t row_step;           // values from a row's table to the next; 0: all rows have one
    int32_t divide;             // whether scale is a std
    const float* gap_centre;    // [c], or null
    const float* gap_scale;     // [c]
    const float* deficit;       // [h, w]
    const float* gain;          // [h, w]
};

}  // extern "C"

namespace {

template <class T>
void apply(const T* x, T* y, int64_t h, int64_t w, int64_t c, const Field& field,
           const Finish& finish, int threads) {
    const T* added = static_cast<const T*>(finish.added);
    const Vec slope = splat(finish.slope);
#pragma omp parallel for schedule(static) num_threads(threads)
    for (int64_t row = 0; row < h; row++) {
        const float* centres = field.centre + row * field.row_step;
        const float* scales = field.scale + row * field.row_step;
        for (int64_t col = 0; col < w; col++) {
            const int64_t at = (row * w + col) * c;
            const float* share = field.share ? field.share + col * field.most : nullptr;
            const int32_t* column = field.column + col * field.most;
            for (int64_t i = 0; i < c; i += LANES) {
                const int64_t n = c - i;
                Vec centre, scale;
                if (share) {
                    centre = scale = Vec{};
                    for (int64_t q = 0; q < field.most; q++) {
                        const Vec much = splat(share[q]);
                        centre += load(centres + column[q] * c + i, n) * much;
                        scale += load(scales + column[q] * c + i, n) * much;
                    }
                } else {
                    centre = load(centres + i, n);
                    scale = load(scales + i, n);
                }
                if (field.gap_centre) {
                    const Vec deficit = splat(field.deficit[row * w + col]);
                    const Vec gain = splat(field.gain[row * w + col]);
                    centre = (centre + load(field.gap_centre + i, n) * deficit) * gain;
                    scale = (scale + load(field.gap_scale + i, n) * deficit) * gain;
                }
                Vec value = load(x + at + i, n) - centre;
                value = field.divide ? value / scale : value * scale;
                if (finish.weight) value *= load(finish.weight + i, n);
                if (finish.bias) value += load(finish.bias + i, n);
                if (finish.slope != 1) value = value < 0 ? value * slope : value;
                if (added) value += load(added + at + i, n);
                store(y + at + i, value, n);
            }
        }
    }
}

}  // namespace

extern "C" {

// Mean and sum of squared differences of each channel over all px.
void uhrt_moments(const void* x, int32_t half, int64_t px, int64_t c, float* mean, float* squares,
                  int32_t threads) {
    if (half) moments(static_cast<const bfloat16*>(x), px, c, mean, squares, threads);
    else moments(static_cast<const float*>(x), px, c, mean, squares, threads);
}

// Normalize by a field, then finish; y may be x.
void uhrt_apply(const void* x, void* y, int32_t half, int64_t h, int64_t w, int64_t c,
                const Field* field, const Finish* finish, int32_t threads) {
    if (half)
        apply(static_cast<const bfloat16*>(x), static_cast<bfloat16*>(y), h, w, c, *field, *finish,
              threads);
    else
        apply(static_cast<const float*>(x), static_cast<float*>(y), h, w, c, *field, *finish,
              threads);
}

// Pixels of x [., width, bytes] at rows[i] and cols[j]; -1 stands for zeros.
void uhrt_gather(const char* x, char* y, int64_t width, int64_t bytes, const int32_t* rows,
                 int64_t h, const int32_t* cols, int64_t w, int32_t threads) {
#pragma omp parallel for schedule(static) num_threads(threads)
    for (int64_t i = 0; i < h; i++) {
        char* to = y + i * w * bytes;
        if (rows[i] < 0) {
            std::memset(to, 0, w * bytes);
            continue;
        }
        const char* from = x + rows[i] * width * bytes;
        for (int64_t j = 0; j < w;) {
            int64_t run = 1;
            if (cols[j] < 0) std::memset(to + j * bytes, 0, bytes);
            else {
                while (j + run < w && cols[j + run] == cols[j] + run) run++;
                std::memcpy(to + j * bytes, from + cols[j] * bytes, run * bytes);
            }
            j += run;
        }
    }
}

// A filter's rows were convolved each alone, x [h + high - 1, w, high * k]; their sum is y [h, w, k].
void uhrt_sum_rows(const float* x, const float* bias, float* y, int64_t h, int64_t w, int64_t k,
                   int64_t high, int32_t threads) {
#pragma omp parallel for schedule(static) num_threads(threads)
    for (int64_t row = 0; row < h; row++)
        for (int64_t col = 0; col < w; col++)
            for (int64_t i = 0; i < k; i++) {
                float sum = bias ? bias[i] : 0;
                for (int64_t part = 0; part < high; part++)
                    sum += x[((row + part) * w + col) * high * k + part * k + i];
                y[(row * w + col) * k + i] = sum;
            }
}

}  // extern "C"
