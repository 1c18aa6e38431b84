// An activation and the pooling after it in one pass over memory each way, for float32 and bfloat16 on one thread of a CPU. libtorch
// goes over the large tensor twice forward and twice back, and notes an int64 for each maximum.

#include "guarded.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

using at::BFloat16;

// Compiled for several generations of processors; the program takes the newest that it runs on.
#if defined(__x86_64__) && defined(__linux__)
#define FOR_EACH_PROCESSOR __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define FOR_EACH_PROCESSOR
#endif
#define INLINE inline __attribute__((always_inline))

namespace {
struct Shape {
  // Of the input; it lies in memory as [images, height, width, channels].
  int64_t images, height, width, channels;
  // Windows are side x side and do not overlap; rows and columns that fill none are left out.
  int64_t side;

  int64_t rows() const { return height / side; }
  int64_t columns() const { return width / side; }
  int64_t row() const { return width * channels; }
  int64_t output_row() const { return columns() * channels; }
};

// exp(x) - 1 within 2 units in the last place, from -87 to 88: e^r of the rest r after the nearest power of two, by its Taylor series.
INLINE float exp_minus_1(float x) {
  const float round = 12582912.0f;  // 1.5 x 2^23: what is added to it loses its fraction.
  float shifted = x * 1.44269504f + round;
  float power = shifted - round;
  float rest = x - power * 0.693359375f + power * 2.12194440e-4f;  // ln 2, in two pieces
  float series = 1.0f / 5040;
  series = series * rest + 1.0f / 720;
  series = series * rest + 1.0f / 120;
  series = series * rest + 1.0f / 24;
  series = series * rest + 1.0f / 6;
  series = series * rest + 1.0f / 2;
  series = series * rest * rest + rest;
  int32_t exponent;
  std::memcpy(&exponent, &shifted, 4);
  exponent = (exponent - 0x4b400000 + 127) << 23;
  float scale;
  std::memcpy(&scale, &exponent, 4);
  return scale * series + (scale - 1.0f);
}

INLINE float clamped(float x, float limit) {
  x = x < -limit ? -limit : x;
  return x > limit ? limit : x;
}

// e^-x, as far as it is neither infinite nor 0.
INLINE float falling(float x) { return exp_minus_1(clamped(-x, 87.0f)) + 1.0f; }

// value(x) and derivative(x); only LeakyReLU has a slope.
struct Tanh {
  static INLINE float value(float x, float) {
    float e = exp_minus_1(2.0f * clamped(x, 9.0f));
    return e / (e + 2.0f);
  }
  static INLINE float derivative(float x, float) {
    float t = value(x, 0);
    return 1.0f - t * t;
  }
};

struct Relu {
  static INLINE float value(float x, float) { return x <= 0.0f ? 0.0f : x; }
  static INLINE float derivative(float x, float) { return x > 0.0f ? 1.0f : 0.0f; }
};

struct LeakyRelu {
  static INLINE float value(float x, float slope) { return x > 0.0f ? x : x * slope; }
  static INLINE float derivative(float x, float slope) { return x > 0.0f ? 1.0f : slope; }
};

struct Sigmoid {
  static INLINE float value(float x, float) { return 1.0f / (1.0f + falling(x)); }
  static INLINE float derivative(float x, float) {
    float e = falling(x), s = 1.0f / (1.0f + e);
    return s * s * e;
  }
};

struct Elu {
  static INLINE float value(float x, float) { return x > 0.0f ? x : exp_minus_1(clamped(x, 87.0f)); }
  static INLINE float derivative(float x, float) { return x > 0.0f ? 1.0f : exp_minus_1(clamped(x, 87.0f)) + 1.0f; }
};

struct Silu {
  static INLINE float value(float x, float) { return (x < -87.0f ? -87.0f : x) * (1.0f / (1.0f + falling(x))); }
  static INLINE float derivative(float x, float) {
    float e = falling(x), s = 1.0f / (1.0f + e);
    return s + (x < -87.0f ? -87.0f : x) * s * s * e;
  }
};

// `slope` has a row's length here and below; the next argument is room for ROOM rows.
const int64_t ROOM = 5;
// A vector of the newest processors has 16 numbers.
const int64_t NARROW = 16;

template <typename Activation>
INLINE void average(const float *input, float *output, const float *slope, float *sums, const Shape &shape) {
  const float share = 1.0f / (shape.side * shape.side);
  for (int64_t image = 0; image < shape.images; image++, input += shape.height * shape.row()) {
    for (int64_t i = 0; i < shape.rows(); i++, output += shape.output_row()) {
      const float *row = input + i * shape.side * shape.row();
      for (int64_t at = 0; at < shape.row(); at++) sums[at] = Activation::value(row[at], slope[at]);
      for (int64_t below = 1; below < shape.side; below++) {
        row += shape.row();
        for (int64_t at = 0; at < shape.row(); at++) sums[at] += Activation::value(row[at], slope[at]);
      }
      for (int64_t j = 0; j < shape.columns(); j++) {
        for (int64_t c = 0; c < shape.channels; c++) {
          float sum = 0;
          for (int64_t k = 0; k < shape.side; k++) sum += sums[(j * shape.side + k) * shape.channels + c];
          output[j * shape.channels + c] = sum * share;
        }
      }
    }
  }
}

template <typename Activation>
INLINE void average_back(const float *input, const float *upper, float *lower, const float *slope, float *spread,
                         const Shape &shape) {
  const float share = 1.0f / (shape.side * shape.side);
  for (int64_t image = 0; image < shape.images; image++) {
    for (int64_t i = 0; i < shape.rows(); i++, upper += shape.output_row()) {
      for (int64_t j = 0; j < shape.columns(); j++) {
        for (int64_t k = 0; k < shape.side; k++) {
          for (int64_t c = 0; c < shape.channels; c++) {
            spread[(j * shape.side + k) * shape.channels + c] = upper[j * shape.channels + c] * share;
          }
        }
      }
      int64_t start = (image * shape.height + i * shape.side) * shape.row();
      for (int64_t below = 0; below < shape.side; below++, start += shape.row()) {
        for (int64_t at = 0; at < shape.row(); at++) {
          lower[start + at] = spread[at] * Activation::derivative(input[start + at], slope[at]);
        }
      }
    }
  }
}

// A NaN is larger than all.
INLINE float larger(float one, float most) { return one > most || one != one ? one : most; }

// The largest number of each window of a row of them, in rows of `output_row` numbers.
INLINE void most_of_windows(const float *row, float *most, const Shape &shape) {
  for (int64_t j = 0; j < shape.columns(); j++, most += shape.channels) {
    const float *window = row + j * shape.side * shape.channels;
    for (int64_t c = 0; c < shape.channels; c++) most[c] = -std::numeric_limits<float>::infinity();
    for (int64_t k = 0; k < shape.side; k++) {
      for (int64_t l = 0; l < shape.side; l++) {
        const float *one = window + k * shape.row() + l * shape.channels;
        for (int64_t c = 0; c < shape.channels; c++) most[c] = larger(one[c], most[c]);
      }
    }
  }
}

// The same of few channels, over which a loop is too short to be a quick one: these go over whole rows. `down` is room for a row.
INLINE void most_of_narrow_windows(const float *row, float *__restrict most, float *__restrict down, const Shape &shape) {
  for (int64_t at = 0; at < shape.row(); at++) down[at] = row[at];
  for (int64_t below = 1; below < shape.side; below++) {
    row += shape.row();
    for (int64_t at = 0; at < shape.row(); at++) down[at] = larger(row[at], down[at]);
  }
  for (int64_t j = 0; j < shape.columns(); j++, most += shape.channels, down += shape.side * shape.channels) {
    for (int64_t c = 0; c < shape.channels; c++) most[c] = down[c];
    for (int64_t l = 1; l < shape.side; l++) {
      const float *next = down + l * shape.channels;
      for (int64_t c = 0; c < shape.channels; c++) most[c] = larger(next[c], most[c]);
    }
  }
}

// Of an activation that never falls, so that the largest input gives the largest output.
template <typename Activation>
INLINE void largest(const float *input, float *output, const float *slope, float *room, const Shape &shape) {
  float *most = room + shape.row();
  for (int64_t image = 0; image < shape.images; image++, input += shape.height * shape.row()) {
    for (int64_t i = 0; i < shape.rows(); i++, output += shape.output_row()) {
      const float *row = input + i * shape.side * shape.row();
      if (shape.channels < NARROW) {
        most_of_narrow_windows(row, most, room, shape);
      } else {
        most_of_windows(row, most, shape);
      }
      for (int64_t at = 0; at < shape.output_row(); at++) output[at] = Activation::value(most[at], slope[at]);
    }
  }
}

// The first of equals has the gradient, as in PyTorch: rows of a window go before its columns.
template <typename Activation>
INLINE void largest_back_narrow(const float *input, const float *upper, float *lower, const float *slope, float *room,
                                const Shape &shape) {
  // Each a row: of each number its window's largest, the gradient that its window still has, which column of the window it is in, and
  // whether it has got the gradient; and of each window its largest.
  float *__restrict most = room, *__restrict left = most + shape.row(), *__restrict column = left + shape.row(),
        *__restrict got = column + shape.row(), *__restrict of_windows = got + shape.row();
  const int64_t covered = shape.columns() * shape.side * shape.channels;
  for (int64_t at = 0, window_column = 0; at < covered; window_column = (window_column + 1) % shape.side) {
    for (int64_t c = 0; c < shape.channels; c++, at++) column[at] = window_column;
  }
  for (int64_t image = 0; image < shape.images; image++) {
    for (int64_t i = 0; i < shape.rows(); i++, upper += shape.output_row()) {
      const float *row = input + (image * shape.height + i * shape.side) * shape.row();
      float *__restrict below = lower + (image * shape.height + i * shape.side) * shape.row();
      most_of_narrow_windows(row, of_windows, got, shape);
      for (int64_t j = 0; j < shape.columns(); j++) {
        const float *__restrict window_most = of_windows + j * shape.channels;
        const float *__restrict window_upper = upper + j * shape.channels;
        for (int64_t l = 0; l < shape.side; l++) {
          int64_t at = (j * shape.side + l) * shape.channels;
          for (int64_t c = 0; c < shape.channels; c++) most[at + c] = window_most[c];
          for (int64_t c = 0; c < shape.channels; c++) left[at + c] = window_upper[c];
        }
      }
      for (int64_t at = 0; at < covered; at++) left[at] *= Activation::derivative(most[at], slope[at]);
      for (int64_t k = 0; k < shape.side; k++, row += shape.row(), below += shape.row()) {
        for (int64_t at = 0; at < covered; at++) got[at] = row[at] == most[at] ? 1.0f : 0.0f;
        for (int64_t before = 1; before < shape.side; before++) {
          int64_t back = before * shape.channels;
          for (int64_t at = back; at < covered; at++) {
            got[at] = (column[at] >= before) & (row[at - back] == most[at]) ? 0.0f : got[at];
          }
        }
        for (int64_t at = 0; at < covered; at++) below[at] = got[at] != 0.0f ? left[at] : 0.0f;
        if (k + 1 == shape.side) continue;
        // Whoever got it, all of the window have no more of it.
        for (int64_t at = 0; at < covered; at++) left[at] = got[at] != 0.0f ? 0.0f : left[at];
        for (int64_t away = 1; away < shape.side; away++) {
          int64_t far = away * shape.channels;
          for (int64_t at = far; at < covered; at++) {
            left[at] = (column[at] >= away) & (got[at - far] != 0.0f) ? 0.0f : left[at];
          }
          for (int64_t at = far; at < covered; at++) {
            left[at - far] = (column[at] >= away) & (got[at] != 0.0f) ? 0.0f : left[at - far];
          }
        }
      }
    }
  }
}

template <typename Activation>
INLINE void largest_back(const float *input, const float *upper, float *lower, const float *slope, float *most,
                         const Shape &shape) {
  if (shape.channels < NARROW) return largest_back_narrow<Activation>(input, upper, lower, slope, most, shape);
  float *left = most + shape.output_row();
  for (int64_t image = 0; image < shape.images; image++) {
    for (int64_t i = 0; i < shape.rows(); i++, upper += shape.output_row()) {
      int64_t start = (image * shape.height + i * shape.side) * shape.row();
      most_of_windows(input + start, most, shape);
      for (int64_t at = 0; at < shape.output_row(); at++) {
        left[at] = upper[at] * Activation::derivative(most[at], slope[at]);
      }
      for (int64_t j = 0; j < shape.columns(); j++) {
        const float *window_most = most + j * shape.channels;
        float *window_left = left + j * shape.channels;
        for (int64_t k = 0; k < shape.side; k++) {
          for (int64_t l = 0; l < shape.side; l++) {
            int64_t at = start + k * shape.row() + (j * shape.side + l) * shape.channels;
            for (int64_t c = 0; c < shape.channels; c++) {
              float gradient = window_left[c];
              bool first = input[at + c] == window_most[c];
              lower[at + c] = first ? gradient : 0.0f;
              window_left[c] = first ? 0.0f : gradient;
            }
          }
        }
      }
    }
  }
}

typedef void Forward(const float *input, float *output, const float *slope, float *room, const Shape &shape);
typedef void Backward(const float *input, const float *upper, float *lower, const float *slope, float *room,
                      const Shape &shape);

struct Kernels {
  Forward *forward;
  Backward *backward;
};

// The compiler unrolls the usual windows of 2 x 2.
#define COMPILED(Activation, pooling)                                                                           \
  FOR_EACH_PROCESSOR void Activation##_##pooling(const float *input, float *output, const float *slope,         \
                                                 float *room, const Shape &shape) {                             \
    if (shape.side != 2) return pooling<Activation>(input, output, slope, room, shape);                         \
    pooling<Activation>(input, output, slope, room, {shape.images, shape.height, shape.width, shape.channels, 2}); \
  }                                                                                                             \
  FOR_EACH_PROCESSOR void Activation##_##pooling##_back(const float *input, const float *upper, float *lower,   \
                                                        const float *slope, float *room, const Shape &shape) {  \
    if (shape.side != 2) return pooling##_back<Activation>(input, upper, lower, slope, room, shape);            \
    pooling##_back<Activation>(input, upper, lower, slope, room,                                                \
                               {shape.images, shape.height, shape.width, shape.channels, 2});                   \
  }

COMPILED(Tanh, average)
COMPILED(Relu, average)
COMPILED(LeakyRelu, average)
COMPILED(Sigmoid, average)
COMPILED(Elu, average)
COMPILED(Silu, average)
COMPILED(Tanh, largest)
COMPILED(Relu, largest)
COMPILED(LeakyRelu, largest)
COMPILED(Sigmoid, largest)
COMPILED(Elu, largest)

#define KERNELS(Activation, pooling) {Activation##_##pooling, Activation##_##pooling##_back}

// By `Curve` and `Pooling` in pooling.rs.
const Kernels kernels[][2] = {
    {KERNELS(Tanh, average), KERNELS(Tanh, largest)},
    {KERNELS(Relu, average), KERNELS(Relu, largest)},
    {KERNELS(LeakyRelu, average), KERNELS(LeakyRelu, largest)},
    {KERNELS(Sigmoid, average), KERNELS(Sigmoid, largest)},
    {KERNELS(Elu, average), KERNELS(Elu, largest)},
    {KERNELS(Silu, average), {nullptr, nullptr}},
};

FOR_EACH_PROCESSOR void to_float(const BFloat16 *from, float *to, int64_t count) {
  for (int64_t at = 0; at < count; at++) to[at] = from[at];
}

FOR_EACH_PROCESSOR void to_bfloat16(const float *from, BFloat16 *to, int64_t count) {
  for (int64_t at = 0; at < count; at++) to[at] = from[at];
}

// A layer's numbers go through the loops above as they are if they are float32.
void pool(const Kernels &kernels, const float *input, float *output, const float *slope, const Shape &shape) {
  std::vector<float> room(ROOM * shape.row());
  kernels.forward(input, output, slope, room.data(), shape);
}

void pool_back(const Kernels &kernels, const float *input, const float *upper, float *lower, const float *slope, const Shape &shape) {
  std::vector<float> room(ROOM * shape.row());
  kernels.backward(input, upper, lower, slope, room.data(), shape);
}

// bfloat16 is widened a row of windows at a time, which stays in the nearest cache.
void pool(const Kernels &kernels, const BFloat16 *input, BFloat16 *output, const float *slope, const Shape &shape) {
  const Shape windows = {1, shape.side, shape.width, shape.channels, shape.side};
  const int64_t count = shape.side * shape.row();
  std::vector<float> room(ROOM * shape.row()), wide(count), wide_output(shape.output_row());
  for (int64_t image = 0; image < shape.images; image++) {
    for (int64_t i = 0; i < shape.rows(); i++, output += shape.output_row()) {
      to_float(input + (image * shape.height + i * shape.side) * shape.row(), wide.data(), count);
      kernels.forward(wide.data(), wide_output.data(), slope, room.data(), windows);
      to_bfloat16(wide_output.data(), output, shape.output_row());
    }
  }
}

void pool_back(const Kernels &kernels, const BFloat16 *input, const BFloat16 *upper, BFloat16 *lower, const float *slope,
               const Shape &shape) {
  const Shape windows = {1, shape.side, shape.width, shape.channels, shape.side};
  const int64_t count = shape.side * shape.row();
  std::vector<float> room(ROOM * shape.row()), wide(count), wide_upper(shape.output_row()), wide_lower(count);
  for (int64_t image = 0; image < shape.images; image++) {
    for (int64_t i = 0; i < shape.rows(); i++, upper += shape.output_row()) {
      const int64_t start = (image * shape.height + i * shape.side) * shape.row();
      to_float(input + start, wide.data(), count);
      to_float(upper, wide_upper.data(), shape.output_row());
      kernels.backward(wide.data(), wide_upper.data(), wide_lower.data(), slope, room.data(), windows);
      to_bfloat16(wide_lower.data(), lower + start, count);
    }
  }
}

// Calls `run` with a number of the tensor's type.
template <typename Run>
void as_its_numbers(const at::Tensor &tensor, Run run) {
  if (tensor.scalar_type() == at::kBFloat16) {
    run(BFloat16());
  } else {
    run(float());
  }
}

Shape shape_of(const at::Tensor &input, int64_t side) {
  return {input.size(0), input.size(2), input.size(3), input.size(1), side};
}

struct Pooled : torch::autograd::Function<Pooled> {
  static at::Tensor forward(torch::autograd::AutogradContext *context, const at::Tensor &input, const at::Tensor &slopes,
                            const Kernels *kernels, int64_t side) {
    context->save_for_backward({input, slopes});
    context->saved_data["kernels"] = reinterpret_cast<int64_t>(kernels);
    context->saved_data["side"] = side;
    Shape shape = shape_of(input, side);
    at::Tensor output = at::empty({shape.images, shape.channels, shape.rows(), shape.columns()},
                                  input.options().memory_format(at::MemoryFormat::ChannelsLast));
    as_its_numbers(input, [&](auto number) {
      using Number = decltype(number);
      pool(*kernels, input.const_data_ptr<Number>(), output.mutable_data_ptr<Number>(), slopes.const_data_ptr<float>(), shape);
    });
    return output;
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext *context,
                                                 torch::autograd::variable_list upper) {
    torch::autograd::variable_list saved = context->get_saved_variables();
    const at::Tensor &input = saved[0], &slopes = saved[1];
    auto *kernels = reinterpret_cast<const Kernels *>(context->saved_data["kernels"].toInt());
    Shape shape = shape_of(input, context->saved_data["side"].toInt());
    bool whole = shape.height % shape.side == 0 && shape.width % shape.side == 0;
    at::Tensor lower = whole ? at::empty_like(input) : at::zeros_like(input);
    at::Tensor gradient = upper[0].contiguous(at::MemoryFormat::ChannelsLast);
    as_its_numbers(input, [&](auto number) {
      using Number = decltype(number);
      pool_back(*kernels, input.const_data_ptr<Number>(), gradient.const_data_ptr<Number>(), lower.mutable_data_ptr<Number>(),
                slopes.const_data_ptr<float>(), shape);
    });
    return {lower, at::Tensor(), at::Tensor(), at::Tensor()};
  }
};
}  // namespace

extern "C" {

// `input` is float32 or bfloat16 [N, C, H, W], as the output is; `slopes`, float32 [K], go to C / K channels each.
char *runner_activate_and_pool(tensor input, int curve, tensor slopes, int largest, int64_t side, tensor *output) {
  return guarded([&] {
    at::Tensor row = slopes->repeat_interleave(input->size(1) / slopes->numel()).repeat(input->size(3));
    *output = new at::Tensor(Pooled::apply(input->contiguous(at::MemoryFormat::ChannelsLast), row,
                                           &kernels[curve][largest], side));
  });
}

}  // extern "C"
