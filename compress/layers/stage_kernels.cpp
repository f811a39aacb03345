// Passes over the maps of a stage: batch norm, residual, activation, and their gradients.
//
// A map lies as rows of channels (channels last). It is taken as rows of blocks of 64 neighbouring values, the lanes:
// channels that divide 64 make one block, whose lanes repeat them, multiples of 64 several. Every pass is one function of
// blocks and rows; what belongs to a channel (a factor, an offset, a sum) is spread over lanes, and gathered from them.
//
// Sums run over chunks of rows in fp32 and over the chunks, in their order, in fp64: however many threads share the
// work, the result is the same.

#include <algorithm>
#include <atomic>
#include <cmath>
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

inline Floats widened(const Halves& bits) { return as<Floats>(__builtin_convertvector(bits, Words) << 16); }

inline Floats load(const Bfloat16* from) { return widened(read<Halves>(from)); }

inline double one(const float* from) { return *from; }

inline double one(const Bfloat16* from) { return as<float>(uint32_t(from->bits) << 16); }

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

// What tells where gradients pass: a ReLU's own map, where it is not 0, or 16 bits, all ones or zeros.
typedef int16_t Mask;
typedef int16_t MaskVector __attribute__((vector_size(2 * WIDTH)));

inline void store_mask(Mask* to, const Ints& mask) {
    const MaskVector narrow = __builtin_convertvector(mask, MaskVector);
    std::memcpy(to, &narrow, sizeof narrow);
}

inline Floats load_passing(const Bfloat16* from, const Mask* mask) {
    return widened(read<Halves>(from) & read<Halves>(mask));
}

inline Floats load_passing(const Bfloat16* from, const Bfloat16* rectified) {
    return widened(read<Halves>(from) & Halves(read<Halves>(rectified) != 0));
}

inline Floats load_passing(const float* from, const Mask* mask) {
    return as<Floats>(read<Ints>(from) & __builtin_convertvector(read<MaskVector>(mask), Ints));
}

inline Floats load_passing(const float* from, const float* rectified) {
    return as<Floats>(read<Ints>(from) & Ints(read<Floats>(rectified) != 0.0f));
}

struct Shape {
    int64_t pixels, channels;
    int threads;

    int64_t blocks() const { return std::max<int64_t>(1, channels / LANES); }
    int64_t rows() const { return pixels * channels / (LANES * blocks()); }
    int64_t lanes() const { return LANES * blocks(); }
    int64_t chunks() const { return (rows() + CHUNK - 1) / CHUNK; }
};

// Calls work(block, first row, row behind the last, chunk) for every chunk of every block.
template <class Work>
void each_chunk(const Shape& shape, const Work& work) {
    const int64_t blocks = shape.blocks(), rows = shape.rows(), pieces = shape.chunks() * blocks;
    std::atomic<int64_t> next{0};
    const auto take = [&] {
        for (int64_t piece; (piece = next++) < pieces;) {
            // Blocks of the same rows follow each other: they lie beside each other in memory.
            const int64_t block = piece % blocks, chunk = piece / blocks;
            work(block, chunk * CHUNK, std::min(rows, (chunk + 1) * CHUNK), chunk);
        }
    };
    std::vector<std::thread> helpers;
    for (int64_t thread = 1; thread < std::min<int64_t>(shape.threads, pieces); ++thread) helpers.emplace_back(take);
    take();
    for (auto& helper : helpers) helper.join();
}

// Two sums of each lane, gathered by chunk.
struct Sums {
    explicit Sums(const Shape& shape) : shape(shape), partial(2 * shape.chunks() * shape.lanes()) {}

    float* of(int64_t block, int64_t chunk) { return &partial[2 * (chunk * shape.lanes() + block * LANES)]; }

    void add_up(std::vector<double>& first, std::vector<double>& second) {
        first.assign(shape.lanes(), 0.0);
        second.assign(shape.lanes(), 0.0);
        for (int64_t chunk = 0; chunk < shape.chunks(); ++chunk)
            for (int64_t block = 0; block < shape.blocks(); ++block)
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
    Lanes() : at{} {}

    template <class Element>
    explicit Lanes(const Element* values) {
        for (int i = 0; i < VECTORS; ++i) at[i] = load(values + i * WIDTH);
    }

    void write(float* to) const {
        for (int i = 0; i < VECTORS; ++i) store(to + i * WIDTH, at[i]);
    }

    Floats at[VECTORS];
};

// Values of channels, repeated for the lanes.
struct Spread {
    explicit Spread(const Shape& shape) : channels(shape.channels), lanes(shape.lanes()) {}

    void set(int64_t channel, double value) {
        for (size_t lane = channel; lane < lanes.size(); lane += channels) lanes[lane] = float(value);
    }

    Lanes of(int64_t block) const { return Lanes(&lanes[block * LANES]); }

    int64_t channels;
    std::vector<float> lanes;
};

// Mean and biased variance of each channel. Sums are of distances from a lane's first value, so that a mean far from 0
// costs no digits.
template <class Element>
void statistics(const Shape& shape, const Element* maps, double* means, double* variances) {
    Sums partial(shape);
    const int64_t blocks = shape.blocks();
    each_chunk(shape, [&](int64_t block, int64_t row, int64_t end, int64_t chunk) {
        const Lanes first(maps + block * LANES);
        Lanes sum, square;
        for (; row < end; ++row) {
            const Element* from = maps + (row * blocks + block) * LANES;
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
    std::vector<double> mean, spread;
    partial.add_up(mean, spread);
    const double rows = shape.rows(), repeats = double(shape.lanes()) / shape.channels;
    for (int64_t lane = 0; lane < shape.lanes(); ++lane) {
        const double distance = mean[lane] / rows;
        spread[lane] = spread[lane] / rows - distance * distance;
        mean[lane] = distance + one(maps + lane);
    }
    for (int64_t channel = 0; channel < shape.channels; ++channel) {
        double sum = 0.0, within = 0.0, between = 0.0;
        for (int64_t lane = channel; lane < shape.lanes(); lane += shape.channels) sum += mean[lane];
        const double centre = sum / repeats;
        for (int64_t lane = channel; lane < shape.lanes(); lane += shape.channels) {
            within += spread[lane];
            between += (mean[lane] - centre) * (mean[lane] - centre);
        }
        means[channel] = centre;
        variances[channel] = std::max(0.0, (within + between) / repeats);
    }
}

// Writes the normalised values with the residual added, each rounded to the element type, rectified where asked for;
// returns the largest of what was not.
template <bool RECTIFIED, class Element>
float normalise(
    const Shape& shape, const Element* maps, const Element* residual, const Spread& factors, const Spread& offsets,
    Element* out) {
    const int64_t blocks = shape.blocks();
    std::vector<Floats> most(shape.chunks() * blocks);
    each_chunk(shape, [&](int64_t block, int64_t row, int64_t end, int64_t chunk) {
        const Lanes factor = factors.of(block), offset = offsets.of(block);
        Floats high = Floats{} - __builtin_inff();
        for (; row < end; ++row) {
            const int64_t place = (row * blocks + block) * LANES;
#pragma GCC unroll 4
            for (int i = 0; i < VECTORS; ++i) {
                const int64_t here = place + i * WIDTH;
                Floats value = kept<Element>(load(maps + here) * factor.at[i] + offset.at[i]);
                if (residual) value = kept<Element>(value + load(residual + here));
                if (RECTIFIED)
                    value = value <= 0.0f ? Floats{} : value;
                else
                    high = high > value ? high : value;
                store(out + here, value);
            }
        }
        most[chunk * blocks + block] = high;
    });
    float largest = -__builtin_inff();
    for (const Floats& high : most)
        for (int lane = 0; lane < WIDTH; ++lane) largest = std::max(largest, high[lane]);
    return largest;
}

// Batch norm with the statistics of the maps; means and inverse deviations are kept for the gradients.
template <bool RECTIFIED, class Element>
float forward(
    const Shape& shape, const Element* maps, const Element* residual, const float* weight, const float* bias,
    float* running_mean, float* running_variance, double momentum, double epsilon, double* means, double* inverses,
    Element* out) {
    std::vector<double> variances(shape.channels);
    statistics(shape, maps, means, variances.data());
    const double unbiased = shape.pixels / std::max(1.0, shape.pixels - 1.0);
    Spread factors(shape), offsets(shape);
    for (int64_t channel = 0; channel < shape.channels; ++channel) {
        running_mean[channel] += momentum * (means[channel] - running_mean[channel]);
        running_variance[channel] += momentum * (variances[channel] * unbiased - running_variance[channel]);
        inverses[channel] = 1.0 / std::sqrt(variances[channel] + epsilon);
        const double factor = weight[channel] * inverses[channel];
        factors.set(channel, factor);
        offsets.set(channel, bias[channel] - means[channel] * factor);
    }
    return normalise<RECTIFIED>(shape, maps, residual, factors, offsets, out);
}

// Rounds values in place to multiples of `scale` from 0 to `top`.
template <class Element>
void quantise(const Shape& shape, Element* values, Mask* mask, float scale, float top) {
    const int64_t blocks = shape.blocks();
    each_chunk(shape, [&](int64_t block, int64_t row, int64_t end, int64_t) {
        for (; row < end; ++row) {
            const int64_t place = (row * blocks + block) * LANES;
#pragma GCC unroll 4
            for (int i = 0; i < VECTORS; ++i) {
                const int64_t here = place + i * WIDTH;
                const Floats ratio = load(values + here) / scale;
                const Floats above = ratio > 0.0f ? ratio : Floats{};
                const Floats level = above < top ? above : Floats{} + top;
                const Floats whole = __builtin_convertvector(__builtin_convertvector(level + 0.5f, Ints), Floats);
                store(values + here, ratio == ratio ? whole * scale : ratio);
                store_mask(mask + here, ratio == level);
            }
        }
    });
}

// The gradient where it passes; by channel its sum and that of its products with the maps' distances from their mean.
template <class Element, class Passing>
void pass(
    const Shape& shape, const Element* gradient, const Passing* passing, const Element* maps, const double* means,
    Element* out, std::vector<double>& sums, std::vector<double>& products) {
    Spread centres(shape);
    for (int64_t channel = 0; channel < shape.channels; ++channel) centres.set(channel, means[channel]);
    Sums partial(shape);
    const int64_t blocks = shape.blocks();
    each_chunk(shape, [&](int64_t block, int64_t row, int64_t end, int64_t chunk) {
        const Lanes mean = centres.of(block);
        Lanes sum, product;
        for (; row < end; ++row) {
            const int64_t place = (row * blocks + block) * LANES;
#pragma GCC unroll 4
            for (int i = 0; i < VECTORS; ++i) {
                const int64_t here = place + i * WIDTH;
                const Floats slope = load_passing(gradient + here, passing + here);
                store(out + here, slope);
                sum.at[i] += slope;
                product.at[i] += slope * (load(maps + here) - mean.at[i]);
            }
        }
        sum.write(partial.of(block, chunk));
        product.write(partial.of(block, chunk) + LANES);
    });
    partial.add_up(sums, products);
    for (int64_t lane = shape.channels; lane < shape.lanes(); ++lane) {
        sums[lane % shape.channels] += sums[lane];
        products[lane % shape.channels] += products[lane];
    }
}

// Gradients of maps, weight and bias; `passed` takes the residual's, and `of_maps` may be the same memory.
template <class Element, class Passing>
void backward(
    const Shape& shape, const Element* gradient, const Passing* passing, const Element* maps, const float* weight,
    const double* means, const double* inverses, Element* passed, Element* of_maps, float* of_weight, float* of_bias) {
    std::vector<double> sums, products;
    pass(shape, gradient, passing, maps, means, passed, sums, products);
    Spread slopes(shape), factors(shape), offsets(shape);
    for (int64_t channel = 0; channel < shape.channels; ++channel) {
        const double inverse = inverses[channel], slope = weight[channel] * inverse;
        const double factor = -slope * inverse * inverse * products[channel] / shape.pixels;
        slopes.set(channel, slope);
        factors.set(channel, factor);
        offsets.set(channel, -slope * sums[channel] / shape.pixels - means[channel] * factor);
        of_weight[channel] = float(products[channel] * inverse);
        of_bias[channel] = float(sums[channel]);
    }
    const int64_t blocks = shape.blocks();
    each_chunk(shape, [&](int64_t block, int64_t row, int64_t end, int64_t) {
        const Lanes slope = slopes.of(block), factor = factors.of(block), offset = offsets.of(block);
        for (; row < end; ++row) {
            const int64_t place = (row * blocks + block) * LANES;
#pragma GCC unroll 4
            for (int i = 0; i < VECTORS; ++i) {
                const int64_t here = place + i * WIDTH;
                store(
                    of_maps + here,
                    load(passed + here) * slope.at[i] + load(maps + here) * factor.at[i] + offset.at[i]);
            }
        }
    });
}

}  // namespace

#define KERNELS(SUFFIX, ELEMENT)                                                                                       \
    extern "C" float forward_##SUFFIX(                                                                                 \
        int64_t pixels, int64_t channels, int threads, int rectified, const ELEMENT* maps, const ELEMENT* residual,    \
        const float* weight, const float* bias, float* running_mean, float* running_variance, double momentum,         \
        double epsilon, double* means, double* inverses, ELEMENT* out) {                                               \
        return (rectified ? forward<true, ELEMENT> : forward<false, ELEMENT>)(                                         \
            {pixels, channels, threads}, maps, residual, weight, bias, running_mean, running_variance, momentum,       \
            epsilon, means, inverses, out);                                                                            \
    }                                                                                                                  \
    extern "C" void quantise_##SUFFIX(                                                                                 \
        int64_t pixels, int64_t channels, int threads, ELEMENT* values, Mask* mask, float scale, float top) {          \
        quantise({pixels, channels, threads}, values, mask, scale, top);                                               \
    }                                                                                                                  \
    extern "C" void backward_##SUFFIX(                                                                                 \
        int64_t pixels, int64_t channels, int threads, const ELEMENT* gradient, const ELEMENT* rectified,              \
        const Mask* mask, const ELEMENT* maps, const float* weight, const double* means, const double* inverses,       \
        ELEMENT* passed, ELEMENT* of_maps, float* of_weight, float* of_bias) {                                         \
        const Shape shape{pixels, channels, threads};                                                                  \
        if (mask)                                                                                                      \
            backward(                                                                                                  \
                shape, gradient, mask, maps, weight, means, inverses, passed, of_maps, of_weight, of_bias);            \
        else                                                                                                           \
            backward(                                                                                                  \
                shape, gradient, rectified, maps, weight, means, inverses, passed, of_maps, of_weight, of_bias);       \
    }

KERNELS(float32, float)
KERNELS(bfloat16, Bfloat16)
