// Vectors of 16 values: a language extension that GCC and Clang share. A processor with narrower ones
// gets several each.

#pragma once

#include <cstdint>
#include <cstring>

namespace {

constexpr int64_t LANES = 16;
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

}  // namespace
