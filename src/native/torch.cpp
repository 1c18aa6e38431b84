// The libtorch calls that tch 0.24 does not bind, one C function each.
// A `tensor` is tch's own handle, a `torch::Tensor *`. Errors come back as a malloc'ed message, success as null.

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Context.h>
#include <ATen/autocast_mode.h>

#include <torch/version.h>

#include <cstring>
#include <mutex>

typedef at::Tensor *tensor;

namespace {
template <typename Call>
char *guarded(Call call) {
  try {
    call();
    return nullptr;
  } catch (const c10::Error &error) {
    return strdup(error.what_without_backtrace());
  } catch (const std::exception &error) {
    return strdup(error.what());
  }
}
}  // namespace

extern "C" {

const char *runner_libtorch_version() { return TORCH_VERSION; }

char *runner_generator_state(tensor *state) {
  return guarded([&] {
    at::Generator generator = at::detail::getDefaultCPUGenerator();
    std::lock_guard<std::mutex> lock(generator.mutex());
    *state = new at::Tensor(generator.get_state());
  });
}

char *runner_set_generator_state(tensor state) {
  return guarded([&] {
    at::Generator generator = at::detail::getDefaultCPUGenerator();
    std::lock_guard<std::mutex> lock(generator.mutex());
    generator.set_state(*state);
  });
}

char *runner_randperm(uint64_t seed, int64_t n, tensor *permutation) {
  return guarded([&] {
    at::Generator generator = at::make_generator<at::CPUGeneratorImpl>(seed);
    *permutation = new at::Tensor(at::randperm(n, generator, at::kLong));
  });
}

char *runner_leaky_relu(tensor input, double slope, tensor *output) {
  return guarded([&] { *output = new at::Tensor(at::leaky_relu(*input, slope)); });
}

char *runner_channels_last(tensor input, tensor *output) {
  return guarded([&] { *output = new at::Tensor(input->contiguous(at::MemoryFormat::ChannelsLast)); });
}

char *runner_add_(tensor self, tensor other, double alpha) {
  return guarded([&] { self->add_(*other, alpha); });
}

char *runner_addcmul_(tensor self, tensor left, tensor right, double value) {
  return guarded([&] { self->addcmul_(*left, *right, value); });
}

char *runner_addcdiv_(tensor self, tensor numerator, tensor denominator, double value) {
  return guarded([&] { self->addcdiv_(*numerator, *denominator, value); });
}

char *runner_set_autocast(int cuda, int on) {
  return guarded([&] {
    at::DeviceType device = cuda ? at::kCUDA : at::kCPU;
    at::autocast::set_autocast_dtype(device, at::kBFloat16);
    at::autocast::set_autocast_enabled(device, on);
    at::autocast::clear_cache();
  });
}

char *runner_set_gpu(int repeatable, int tf32) {
  return guarded([&] {
    at::Context &context = at::globalContext();
    context.setDeterministicCuDNN(repeatable);
    context.setBenchmarkCuDNN(!repeatable);
    context.setAllowTF32CuDNN(tf32);
    context.setAllowTF32CuBLAS(tf32);
  });
}

}  // extern "C"
