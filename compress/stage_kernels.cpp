// Passes over the maps of a stage: batch norm, residual, activation, and their gradients.
//
// A map lies as rows of channels (channels last). It is taken as `rows` x `blocks` of 64 neighbouring values: channels
// that divide 64 give one block, whose lanes repeat them, multiples of 64 several. What belongs to a channel (a factor,
// an offset) comes as one value for each lane of a block, and sums go out in the same way.
//
// Sums run over chunks of rows in fp32 and over the chunks, in their order, in fp64: however many threads share the
// work, the result is the same.

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <thread>
#include <vector>

namespace {

constexpr int LANES = 64;
constexpr int WIDTH = 16;
constexpr int VECTORS = LANES / WIDTH;
constexpr int64_t CHUNK = 512;

typedef float Floats __attribute__((vector_size(4 * WIDTH)));
typedef int32_t Ints __attribute__((vector_size(4 * WIDTH)));
typedef uint32_t Words __attribute__((vector_size(4 * WIDTH)));
typedef uint16_t Halves __attribute__((vector_size(2 * WIDTH)));

struct Bfloat16 {
    uint16_t bits;
};

template <class To, class From>
inline To as(const From& from) {
    static_assert(sizeof(To) == sizeof(From));
    To to;
    std::memcpy(&to, &from, sizeof to);
    return to;
}

template <class Vector>
inline Vector read(const void* from) {
    Vector value;
    std::memcpy(&value, from, sizeof value);
    return value;
}

inline Floats load(const float* from) { return read<Floats>(from); }

inline Floats load(const Bfloat16* from) {
    return as<Floats>(__builtin_convertvector(read<Halves>(from), Words) << 16);
}

inline double load_one(const float* from) { return *from; }

inline double load_one(const Bfloat16* from) { return as<float>(uint32_t(from->bits) << 16); }

inline void store(float* to, const Floats& value) { std::memcpy(to, &value, sizeof value); }

// Bits of a value rounded to bfloat16, half to even, in the upper 16.
inline Words rounded(const Floats& value) {
    const Words bits = as<Words>(value);
    return value == value ? bits + 0x7fffu + ((bits >> 16) & 1u) : bits | 0x400000u;  // NaN stays one
}

inline void store(Bfloat16* to, const Floats& value) {
    const Halves halves = __builtin_convertvector(rounded(value) >> 16, Halves);
    std::memcpy(to, &halves, sizeof halves);
}

// What is left of a value when it is kept as the element type.
template <class Element>
Floats kept(const Floats& value);

template <>
inline Floats kept<float>(const Floats& value) {
    return value;
}

template <>
inline Floats kept<Bfloat16>(const Floats& value) {
    return as<Floats>(rounded(value) & 0xffff0000u);
}

// Masks are all ones or zeros, 16 bits wide.
typedef int16_t Masks;
typedef int16_t MaskVector __attribute__((vector_size(2 * WIDTH)));

inline void store_mask(Masks* to, const Ints& mask) {
    const MaskVector narrow = __builtin_convertvector(mask, MaskVector);
    std::memcpy(to, &narrow, sizeof narrow);
}

inline Floats load_masked(const Bfloat16* from, const Masks* mask) {
    return as<Floats>(__builtin_convertvector(read<Halves>(from) & read<Halves>(mask), Words) << 16);
}

inline Floats load_masked(const float* from, const Masks* mask) {
    return as<Floats>(read<Ints>(from) & __builtin_convertvector(read<MaskVector>(mask), Ints));
}

struct Shape {
    int64_t rows, blocks;
    int threads;

    int64_t chunks() const { return (rows + CHUNK - 1) / CHUNK; }
};

// Calls work(block, first row, row behind the last, chunk) for every chunk of every block.
template <class Work>
void each_chunk(const Shape& shape, const Work& work) {
    const int64_t chunks = shape.chunks(), pieces = chunks * shape.blocks;
    std::atomic<int64_t> next{0};
    const auto take = [&] {
        for (int64_t piece; (piece = next++) < pieces;) {
            // Blocks of the same rows follow each other: they lie beside each other in memory.
            const int64_t block = piece % shape.blocks, chunk = piece / shape.blocks;
            work(block, chunk * CHUNK, std::min(shape.rows, (chunk + 1) * CHUNK), chunk);
        }
    };
    std::vector<std::thread> helpers;
    for (int64_t thread = 1; thread < std::min<int64_t>(shape.threads, pieces); ++thread) helpers.emplace_back(take);
    take();
    for (auto& helper : helpers) helper.join();
}

// Two sums of each lane, gathered by chunk.
struct Sums {
    explicit Sums(const Shape& shape) : shape(shape), partial(shape.chunks() * shape.blocks * 2 * LANES) {}

    float* of(int64_t block, int64_t chunk) { return &partial[(chunk * shape.blocks + block) * 2 * LANES]; }

    void add_up(double* first, double* second) {
        std::fill_n(first, shape.blocks * LANES, 0.0);
        std::fill_n(second, shape.blocks * LANES, 0.0);
        for (int64_t chunk = 0; chunk < shape.chunks(); ++chunk)
            for (int64_t block = 0; block < shape.blocks; ++block)
                for (int lane = 0; lane < LANES; ++lane) {
                    first[block * LANES + lane] += of(block, chunk)[lane];
                    second[block * LANES + lane] += of(block, chunk)[LANES + lane];
                }
    }

    Shape shape;
    std::vector<float> partial;
};

// One value for each lane of a block, held in registers.
struct Lanes {
    template <class Element>
    explicit Lanes(const Element* values) {
        for (int i = 0; i < VECTORS; ++i) at[i] = load(values + i * WIDTH);
    }
    Lanes() : at{} {}

    void write(float* to) const {
        for (int i = 0; i < VECTORS; ++i) store(to + i * WIDTH, at[i]);
    }

    Floats at[VECTORS];
};

// Mean and variance of each lane. Sums are of distances from the lane's first value: a mean far from 0 costs no digits.
template <class Element>
void statistics(const Shape& shape, const Element* values, double* means, double* variances) {
    Sums partial(shape);
    each_chunk(shape, [&](int64_t block, int64_t row, int64_t end, int64_t chunk) {
        const Lanes first(values + block * LANES);
        Lanes sum, square;
        for (; row < end; ++row) {
            const Element* from = values + (row * shape.blocks + block) * LANES;
#pragma GCC unroll 4
            for (int i = 0; i < VECTORS; ++i) {
                const Floats distance = load(from + i * WIDTH) - first.at[i];
                sum.at[i] += distance;
                square.at[i] += distance * distance;
            }
        }
        sum.write(partial.of(block, chunk));
        square.write(partial.of(block, chunk) + LANES);
    });
    partial.add_up(means, variances);
    for (int64_t lane = 0; lane < shape.blocks * LANES; ++lane) {
        const double distance = means[lane] / shape.rows;
        variances[lane] = std::max(0.0, variances[lane] / shape.rows - distance * distance);
        means[lane] = distance + load_one(values + lane);
    }
}

// A normalised value with the residual added, each rounded to the element type.
template <class Element>
inline Floats normalised(const Element* value, const Element* residual, const Floats& factor, const Floats& offset) {
    const Floats normal = kept<Element>(load(value) * factor + offset);
    return residual ? kept<Element>(normal + load(residual)) : normal;
}

template <class Element>
void rectify(
    const Shape& shape, const Element* values, const Element* residual, const float* factors, const float* offsets,
    Element* out, Masks* mask) {
    each_chunk(shape, [&](int64_t block, int64_t row, int64_t end, int64_t) {
        const Lanes factor(factors + block * LANES), offset(offsets + block * LANES);
        for (; row < end; ++row) {
            const int64_t place = (row * shape.blocks + block) * LANES;
#pragma GCC unroll 4
            for (int i = 0; i < VECTORS; ++i) {
                const int64_t here = place + i * WIDTH;
                const Floats value =
                    normalised(values + here, residual ? residual + here : nullptr, factor.at[i], offset.at[i]);
                const Ints above = value > 0.0f;
                store(out + here, above | (value != value) ? value : Floats{});
                store_mask(mask + here, above);
            }
        }
    });
}

template <class Element>
float largest(
    const Shape& shape, const Element* values, const Element* residual, const float* factors, const float* offsets,
    Element* out) {
    std::vector<Floats> most(shape.chunks() * shape.blocks);
    each_chunk(shape, [&](int64_t block, int64_t row, int64_t end, int64_t chunk) {
        const Lanes factor(factors + block * LANES), offset(offsets + block * LANES);
        Floats high = Floats{} - __builtin_inff();
        for (; row < end; ++row) {
            const int64_t place = (row * shape.blocks + block) * LANES;
#pragma GCC unroll 4
            for (int i = 0; i < VECTORS; ++i) {
                const int64_t here = place + i * WIDTH;
                const Floats value =
                    normalised(values + here, residual ? residual + here : nullptr, factor.at[i], offset.at[i]);
                store(out + here, value);
                high = high > value ? high : value;
            }
        }
        most[chunk * shape.blocks + block] = high;
    });
    float result = -__builtin_inff();
    for (const Floats& high : most)
        for (int lane = 0; lane < WIDTH; ++lane) result = std::max(result, high[lane]);
    return result;
}

template <class Element>
void quantise(const Shape& shape, Element* out, Masks* mask, float scale, float top) {
    each_chunk(shape, [&](int64_t block, int64_t row, int64_t end, int64_t) {
        for (; row < end; ++row) {
            const int64_t place = (row * shape.blocks + block) * LANES;
#pragma GCC unroll 4
            for (int i = 0; i < VECTORS; ++i) {
                const int64_t here = place + i * WIDTH;
                const Floats ratio = load(out + here) / scale;
                const Floats above = ratio > 0.0f ? ratio : Floats{};
                const Floats level = above < top ? above : Floats{} + top;
                const Floats whole = __builtin_convertvector(__builtin_convertvector(level + 0.5f, Ints), Floats);
                store(out + here, ratio == ratio ? whole * scale : ratio);
                store_mask(mask + here, ratio == level);
            }
        }
    });
}

template <class Element>
void masked(
    const Shape& shape, const Element* gradient, const Masks* mask, const Element* values, const float* means,
    Element* out, double* sums, double* products) {
    Sums partial(shape);
    each_chunk(shape, [&](int64_t block, int64_t row, int64_t end, int64_t chunk) {
        const Lanes mean(means + block * LANES);
        Lanes sum, product;
        for (; row < end; ++row) {
            const int64_t place = (row * shape.blocks + block) * LANES;
#pragma GCC unroll 4
            for (int i = 0; i < VECTORS; ++i) {
                const int64_t here = place + i * WIDTH;
                const Floats slope = load_masked(gradient + here, mask + here);
                store(out + here, slope);
                sum.at[i] += slope;
                product.at[i] += slope * (load(values + here) - mean.at[i]);
            }
        }
        sum.write(partial.of(block, chunk));
        product.write(partial.of(block, chunk) + LANES);
    });
    partial.add_up(sums, products);
}

template <class Element>
void backward(
    const Shape& shape, const Element* gradient, const Element* values, const float* gradient_factors,
    const float* value_factors, const float* offsets, Element* out) {
    each_chunk(shape, [&](int64_t block, int64_t row, int64_t end, int64_t) {
        const Lanes slope(gradient_factors + block * LANES), factor(value_factors + block * LANES);
        const Lanes offset(offsets + block * LANES);
        for (; row < end; ++row) {
            const int64_t place = (row * shape.blocks + block) * LANES;
#pragma GCC unroll 4
            for (int i = 0; i < VECTORS; ++i) {
                const int64_t here = place + i * WIDTH;
                store(
                    out + here,
                    load(gradient + here) * slope.at[i] + load(values + here) * factor.at[i] + offset.at[i]);
            }
        }
    });
}

}  // namespace

#define KERNELS(SUFFIX, ELEMENT)                                                                                       \
    extern "C" void statistics_##SUFFIX(                                                                               \
        int64_t rows, int64_t blocks, int threads, const ELEMENT* values, double* means, double* variances) {          \
        statistics({rows, blocks, threads}, values, means, variances);                                                 \
    }                                                                                                                  \
    extern "C" void rectify_##SUFFIX(                                                                                  \
        int64_t rows, int64_t blocks, int threads, const ELEMENT* values, const ELEMENT* residual,                     \
        const float* factors, const float* offsets, ELEMENT* out, Masks* mask) {                                     \
        rectify({rows, blocks, threads}, values, residual, factors, offsets, out, mask);                               \
    }                                                                                                                  \
    extern "C" float largest_##SUFFIX(                                                                                 \
        int64_t rows, int64_t blocks, int threads, const ELEMENT* values, const ELEMENT* residual,                     \
        const float* factors, const float* offsets, ELEMENT* out) {                                                    \
        return largest({rows, blocks, threads}, values, residual, factors, offsets, out);                              \
    }                                                                                                                  \
    extern "C" void quantise_##SUFFIX(                                                                                 \
        int64_t rows, int64_t blocks, int threads, ELEMENT* out, Masks* mask, float scale, float top) {              \
        quantise({rows, blocks, threads}, out, mask, scale, top);                                                      \
    }                                                                                                                  \
    extern "C" void masked_##SUFFIX(                                                                                   \
        int64_t rows, int64_t blocks, int threads, const ELEMENT* gradient, const Masks* mask,                       \
        const ELEMENT* values, const float* means, ELEMENT* out, double* sums, double* products) {                     \
        masked({rows, blocks, threads}, gradient, mask, values, means, out, sums, products);                           \
    }                                                                                                                  \
    extern "C" void backward_##SUFFIX(                                                                                 \
        int64_t rows, int64_t blocks, int threads, const ELEMENT* gradient, const ELEMENT* values,                     \
        const float* gradient_factors, const float* value_factors, const float* offsets, ELEMENT* out) {               \
        backward({rows, blocks, threads}, gradient, values, gradient_factors, value_factors, offsets, out);            \
    }

KERNELS(float32, float)
KERNELS(bfloat16, Bfloat16)
