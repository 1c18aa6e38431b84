// The libtorch calls that tch 0.24 does not bind, one C function each.

#include "guarded.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Context.h>
#include <ATen/autocast_mode.h>
#include <c10/core/CachingDeviceAllocator.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <torch/version.h>

#include <dlfcn.h>

#include <cstring>
#include <map>
#include <mutex>
#include <stdexcept>
#include <string>

namespace {
// The CPU's where `gpu` is negative.
at::Generator default_generator(int gpu) {
  return gpu < 0 ? at::detail::getDefaultCPUGenerator()
                 : at::globalContext().defaultGenerator(at::Device(at::kCUDA, gpu));
}

// A function of libtorch_cuda, which this program is not linked against.
template <typename Function>
Function *gpu_function(const char *name) {
  void *found = dlsym(RTLD_DEFAULT, name);
  if (!found) throw std::runtime_error(std::string("libtorch_cuda has no ") + name);
  return reinterpret_cast<Function *>(found);
}

// at::cuda::CUDAGraph, whose header needs NVIDIA's. A member function takes its object like a first argument.
struct GraphFunctions {
  void (*construct)(void *, bool) = gpu_function<void(void *, bool)>("_ZN2at4cuda9CUDAGraphC1Eb");
  void (*destroy)(void *) = gpu_function<void(void *)>("_ZN2at4cuda9CUDAGraphD1Ev");
  void (*begin)(void *, c10::MempoolId_t, int) = gpu_function<void(void *, c10::MempoolId_t, int)>(
      "_ZN2at4cuda9CUDAGraph13capture_beginESt4pairIyyE21cudaStreamCaptureMode");
  void (*end)(void *) = gpu_function<void(void *)>("_ZN2at4cuda9CUDAGraph11capture_endEv");
  void (*replay)(void *) = gpu_function<void(void *)>("_ZN2at4cuda9CUDAGraph6replayEv");
};

const GraphFunctions &graph_functions() {
  static const GraphFunctions functions;
  return functions;
}

const c10::impl::VirtualGuardImpl &gpus() {
  static const c10::impl::VirtualGuardImpl gpus(c10::DeviceType::CUDA);
  return gpus;
}

// Graphs are not recorded from the default stream, and what is to be recorded has to have run where it is recorded. One other
// for each device: cuBLAS keeps a workspace for each that it saw.
c10::Stream own_stream(c10::Device device) {
  static std::map<c10::DeviceIndex, c10::Stream> streams;
  auto found = streams.find(device.index());
  if (found == streams.end()) {
    found = streams.emplace(device.index(), gpus().getStreamFromGlobalPool(device, false)).first;
  }
  return found->second;
}

// A graph of what runs on the thread's stream.
struct Graph {
  c10::Device device;
  bool recording = false;
  alignas(64) char object[1024];

  explicit Graph(c10::DeviceIndex index) : device(c10::DeviceType::CUDA, index) {
    graph_functions().construct(object, false);
  }

  ~Graph() {
    if (recording) abandon();
    graph_functions().destroy(object);
  }

  void begin() {
    gpus().synchronizeDevice(device.index());
    // A recording has memory of its own and cannot ask for what is only cached.
    c10::getDeviceAllocator(device.type())->emptyCache();
    recording = true;
    graph_functions().begin(object, {0, 0}, 0 /* cudaStreamCaptureModeGlobal */);
  }

  void end() {
    graph_functions().end(object);
    recording = false;
  }

  // After an error. libtorch then leaves the generator in a state that only recordings may draw from.
  void abandon() noexcept {
    try {
      graph_functions().end(object);
    } catch (...) {
    }
    recording = false;
    try {
      at::Generator generator = default_generator(device.index());
      std::lock_guard<std::mutex> lock(generator.mutex());
      generator.graphsafe_set_state(generator.clone());
    } catch (...) {
    }
  }
};
}  // namespace

extern "C" {

const char *runner_libtorch_version() { return TORCH_VERSION; }

char *runner_generator_state(int gpu, tensor *state) {
  return guarded([&] {
    at::Generator generator = default_generator(gpu);
    std::lock_guard<std::mutex> lock(generator.mutex());
    *state = new at::Tensor(generator.get_state());
  });
}

char *runner_set_generator_state(int gpu, tensor state) {
  return guarded([&] {
    at::Generator generator = default_generator(gpu);
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

char *runner_copy_without_waiting_(tensor self, tensor source) {
  return guarded([&] { self->copy_(source->pin_memory(), true); });
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

// `parameters`, `gradient`, `mean`, `square` and, for amsgrad, `largest` have one shape; `largest` is null without it.
char *runner_fused_adam_(tensor parameters, tensor gradient, tensor mean, tensor square, tensor largest, double step,
                         double lr, double beta1, double beta2, double weight_decay, double eps, int decoupled) {
  return guarded([&] {
    at::Tensor steps = at::scalar_tensor(step, at::kFloat);
    at::TensorList largests = largest ? at::TensorList(*largest) : at::TensorList();
    if (decoupled) {
      at::_fused_adamw_(*parameters, *gradient, *mean, *square, largests, steps, lr, beta1, beta2, weight_decay, eps,
                        largest != nullptr, false);
    } else {
      at::_fused_adam_(*parameters, *gradient, *mean, *square, largests, steps, lr, beta1, beta2, weight_decay, eps,
                       largest != nullptr, false);
    }
  });
}

char *runner_graph_begin(int gpu, void **graph) {
  return guarded([&] {
    auto *begun = new Graph(gpu);
    *graph = begun;
    begun->begin();
  });
}

char *runner_graph_end(void *graph) {
  return guarded([&] { static_cast<Graph *>(graph)->end(); });
}

char *runner_graph_replay(void *graph) {
  return guarded([&] { graph_functions().replay(static_cast<Graph *>(graph)->object); });
}

void runner_graph_free(void *graph) { delete static_cast<Graph *>(graph); }

// cudaDeviceProp, whose header is NVIDIA's, begins with the name.
char *runner_gpu_name(int gpu, char **name) {
  return guarded([&] {
    auto *properties = gpu_function<const char *(c10::DeviceIndex)>("_ZN2at4cuda19getDevicePropertiesEa");
    *name = strdup(properties(static_cast<c10::DeviceIndex>(gpu)));
  });
}

char *runner_find_graph_functions() {
  return guarded([] { graph_functions(); });
}

char *runner_set_autocast(int cuda, int on) {
  return guarded([&] {
    at::DeviceType device = cuda ? at::kCUDA : at::kCPU;
    at::autocast::set_autocast_dtype(device, at::kBFloat16);
    at::autocast::set_autocast_enabled(device, on);
    at::autocast::clear_cache();
  });
}

char *runner_set_kernel_search(int on) {
  return guarded([&] { at::globalContext().setBenchmarkCuDNN(on); });
}

char *runner_set_flush_denormals(int on) {
  return guarded([&] { at::globalContext().setFlushDenormal(on); });
}

char *runner_set_gpu(int gpu, int repeatable, int tf32) {
  return guarded([&] {
    c10::Device device(c10::DeviceType::CUDA, gpu);
    gpus().exchangeDevice(device);
    if (gpus().getStream(device) != own_stream(device)) {
      gpus().synchronizeDevice(gpu);
      gpus().exchangeStream(own_stream(device));
    }
    at::Context &context = at::globalContext();
    context.setDeterministicCuDNN(repeatable);
    context.setBenchmarkCuDNN(!repeatable);
    context.setAllowTF32CuDNN(tf32);
    context.setAllowTF32CuBLAS(tf32);
  });
}

}  // extern "C"
