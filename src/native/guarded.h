// What the C functions here have in common: a `tensor` is tch's own handle, a `torch::Tensor *`; errors come back as a malloc'ed
// message, success as null.

#pragma once

#include <ATen/ATen.h>

#include <cstring>
#include <exception>

typedef at::Tensor *tensor;

template <typename Call>
inline char *guarded(Call call) {
  try {
    call();
    return nullptr;
  } catch (const c10::Error &error) {
    return strdup(error.what_without_backtrace());
  } catch (const std::exception &error) {
    return strdup(error.what());
  }
}
