// What fused.cc and attention.cc share.
#pragma once

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include <cstring>

namespace fused {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// What gradients a linear layer y = x w^T + b passes on, by the gradient of y.
inline Tensor gradientOfInput(const Tensor &g, const Tensor &w) { return at::matmul(g, w); }

inline Tensor gradientOfWeight(const Tensor &g, const Tensor &x) {
  return at::mm(g.reshape({-1, g.size(-1)}).t(), x.reshape({-1, x.size(-1)}));
}

inline Tensor gradientOfBias(const Tensor &g) { return g.reshape({-1, g.size(-1)}).sum(0); }

// done returns the words of f's exception, which the caller frees, and null where there is none.
template <class F>
char *done(F f) {
  try {
    f();
    return nullptr;
  } catch (const std::exception &e) {
    return strdup(e.what());
  }
}

// made is done for an f that returns a tensor, which is written to out.
template <class F>
char *made(void **out, F f) {
  return done([&] { *out = new Tensor(f()); });
}

inline const Tensor &in(void *t) { return *static_cast<Tensor *>(t); }

}  // namespace fused
