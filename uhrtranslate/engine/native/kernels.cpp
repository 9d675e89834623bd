// Passes over feature maps that lie in memory as [h, w, c], channels innermost.
//
// Compiled once per machine by `build.py`, called through `operations.py`. Vectors of 16 floats are a
// language extension that GCC and Clang share; a processor with narrower ones gets several each.
// Every value is computed in one order, whatever the number of threads.

#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

namespace {

constexpr int64_t LANES = 16;
constexpr int64_t PIECE = 512;  // px whose sums are added up in float
typedef float Vec __attribute__((vector_size(4 * LANES)));
typedef uint32_t Bits __attribute__((vector_size(4 * LANES)));
typedef uint16_t Half __attribute__((vector_size(2 * LANES)));
typedef uint16_t bfloat16;

inline Vec splat(float value) { return Vec{} + value; }

// The first `n` of 16 values; the others are 0.
inline Vec load(const float* from, int64_t n) {
    Vec value = {};
    if (n >= LANES) std::memcpy(&value, from, sizeof value);
    else std::memcpy(&value, from, n * sizeof(float));
    return value;
}

inline Vec load(const bfloat16* from, int64_t n) {
    Half half = {};
    if (n >= LANES) std::memcpy(&half, from, sizeof half);
    else std::memcpy(&half, from, n * sizeof(bfloat16));
    return (Vec)(__builtin_convertvector(half, Bits) << 16);
}

inline void store(float* to, Vec value, int64_t n) {
    if (n >= LANES) std::memcpy(to, &value, sizeof value);
    else std::memcpy(to, &value, n * sizeof(float));
}

// Rounds to the nearest, ties to even; what is not a number stays so.
inline void store(bfloat16* to, Vec value, int64_t n) {
    Bits bits = (Bits)value;
    bits += 0x7fff + ((bits >> 16) & 1);
    bits >>= 16;
    Half half = __builtin_convertvector((value == value) ? bits : (Bits{} + 0x7fc0u), Half);
    if (n >= LANES) std::memcpy(to, &half, sizeof half);
    else std::memcpy(to, &half, n * sizeof(bfloat16));
}

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

// Patches of 6 x 6 px, 4 px apart, as 36 values per channel: [count, 36, c].
//
// ys, xs: [4 rows + 2], [4 cols + 2], the px of x that each row and column of the patches is.
// first, count: which of the rows * cols patches.
void uhrt_winograd_in(const float* x, int64_t width, int64_t c, const int32_t* ys,
                      const int32_t* xs, int64_t cols, int64_t first, int64_t count, float* values,
                      int32_t threads) {
    const std::vector<float> nothing(c);
#pragma omp parallel for schedule(static) num_threads(threads)
    for (int64_t p = first; p < first + count; p++) {
        const int32_t* down = ys + p / cols * 4;
        const int32_t* right = xs + p % cols * 4;
        float* to = values + (p - first) * 36 * c;
        for (int64_t i = 0; i < c; i += LANES) {
            const int64_t n = c - i;
            Vec part[6][6];
            for (int col = 0; col < 6; col++) {
                Vec d[6];
                for (int row = 0; row < 6; row++) {
                    const bool inside = down[row] >= 0 && right[col] >= 0;
                    const float* from = inside ? x + (down[row] * width + right[col]) * c : nothing.data();
                    d[row] = load(from + i, n);
                }
                const Vec e = d[4] - 4 * d[2], f = d[3] - 4 * d[1];
                const Vec g = d[4] - d[2], s = 2 * (d[3] - d[1]);
                part[0][col] = 4 * d[0] - 5 * d[2] + d[4];
                part[1][col] = e + f;
                part[2][col] = e - f;
                part[3][col] = g + s;
                part[4][col] = g - s;
                part[5][col] = 4 * d[1] - 5 * d[3] + d[5];
            }
            for (int row = 0; row < 6; row++) {
                const Vec* d = part[row];
                const Vec e = d[4] - 4 * d[2], f = d[3] - 4 * d[1];
                const Vec g = d[4] - d[2], s = 2 * (d[3] - d[1]);
                float* place = to + row * 6 * c + i;
                store(place, 4 * d[0] - 5 * d[2] + d[4], n);
                store(place + c, e + f, n);
                store(place + 2 * c, e - f, n);
                store(place + 3 * c, g + s, n);
                store(place + 4 * c, g - s, n);
                store(place + 5 * c, 4 * d[1] - 5 * d[3] + d[5], n);
            }
        }
    }
}

// The way back: values [count, 36, scale, scale, k] of patches to 4 x 4 places each, bias added.
//
// y: [scale * h, scale * w, k]; each place has scale x scale px.
void uhrt_winograd_out(const float* values, const float* bias, int64_t k, int64_t scale,
                       int64_t cols, int64_t first, int64_t count, float* y, int64_t h, int64_t w,
                       int32_t threads) {
    const int64_t step = scale * scale * k;
#pragma omp parallel for schedule(static) num_threads(threads)
    for (int64_t p = first; p < first + count; p++) {
        const int64_t top = p / cols * 4, left = p % cols * 4;
        const int64_t high = h - top < 4 ? h - top : 4, wide = w - left < 4 ? w - left : 4;
        for (int64_t j = 0; j < step; j += k) {
            const float* from = values + (p - first) * 36 * step + j;
            const int64_t below = j / k / scale, beside = j / k % scale;
            for (int64_t i = 0; i < k; i += LANES) {
                const int64_t n = k - i;
                Vec part[4][6];
                for (int col = 0; col < 6; col++) {
                    Vec v[6];
                    for (int row = 0; row < 6; row++)
                        v[row] = load(from + (row * 6 + col) * step + i, n);
                    const Vec s = v[1] + v[2], d = v[1] - v[2], t = v[3] + v[4], e = v[3] - v[4];
                    part[0][col] = v[0] + s + t;
                    part[1][col] = d + 2 * e;
                    part[2][col] = s + 4 * t;
                    part[3][col] = d + 8 * e + v[5];
                }
                const Vec shift = bias ? load(bias + i, n) : Vec{};
                for (int64_t row = 0; row < high; row++) {
                    const Vec* v = part[row];
                    const Vec s = v[1] + v[2], d = v[1] - v[2], t = v[3] + v[4], e = v[3] - v[4];
                    const Vec found[4] = {v[0] + s + t + shift, d + 2 * e + shift,
                                          s + 4 * t + shift, d + 8 * e + v[5] + shift};
                    const int64_t line = ((top + row) * scale + below) * w * scale;
                    float* to = y + (line + left * scale + beside) * k + i;
                    for (int64_t col = 0; col < wide; col++)
                        store(to + col * scale * k, found[col], n);
                }
            }
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
