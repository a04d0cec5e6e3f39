// What would be many of libtorch's operations, as one. A linear layer is one node in autograd's graph: what autograd does for a node, beside
// the node's own work, takes longer than most of the decoder's operations do. A step of AdamW goes through memory once.
#include <torch/version.h>

#include <cmath>

#include "fused.h"

namespace {

using namespace fused;

struct Linear : torch::autograd::Function<Linear> {
  static Tensor forward(AutogradContext *ctx, const Tensor &x, const Tensor &w, const Tensor &b) {
    at::AutoDispatchBelowADInplaceOrView plain;  // what comes out is no view of anything
    ctx->save_for_backward({x, w});
    return at::linear(x, w, b);
  }

  static variable_list backward(AutogradContext *ctx, variable_list grads) {
    auto saved = ctx->get_saved_variables();
    const Tensor &g = grads[0];
    variable_list out(3);
    if (ctx->needs_input_grad(0)) out[0] = gradientOfInput(g, saved[1]);
    if (ctx->needs_input_grad(1)) out[1] = gradientOfWeight(g, saved[0]);
    if (ctx->needs_input_grad(2)) out[2] = gradientOfBias(g);
    return out;
  }
};

struct Rates {
  double lr, beta1, beta2, decay, epsilon;
};

void adamw(const Tensor &weights, const Tensor &grad, const Tensor &mean, const Tensor &variance, int64_t step, const Rates &r) {
#if TORCH_VERSION_MAJOR > 2 || TORCH_VERSION_MINOR >= 4
  auto steps = at::full({}, static_cast<double>(step), weights.options());
  at::_fused_adamw_({weights}, {grad}, {mean}, {variance}, {}, {steps}, r.lr, r.beta1, r.beta2, r.decay, r.epsilon, false, false);
#else  // libtorch 2.1 has no fused step for a CPU
  weights.mul_(1 - r.lr * r.decay);
  mean.lerp_(grad, 1 - r.beta1);
  variance.mul_(r.beta2).addcmul_(grad, grad, 1 - r.beta2);
  auto below = variance.sqrt().div_(std::sqrt(1 - std::pow(r.beta2, step))).add_(r.epsilon);
  weights.addcdiv_(mean, below, -r.lr / (1 - std::pow(r.beta1, step)));
#endif
}

}  // namespace

extern "C" char *samtune_linear(void **out, void *x, void *w, void *b) {
  return made(out, [&] { return Linear::apply(in(x), in(w), in(b)); });
}

// of holds weights, gradient, first and second moment, all but the gradient changed; rates are the members of Rates.
extern "C" char *samtune_adamw(void **of, int64_t step, const double *rates) {
  return done([&] {
    for (int i = 1; i < 4; i++)  // the fused step does not look
      TORCH_CHECK(in(of[i]).sizes() == in(of[0]).sizes(), "weights of shape ", in(of[0]).sizes(), " beside a gradient or moment of ", in(of[i]).sizes());
    adamw(in(of[0]), in(of[1]), in(of[2]), in(of[3]), step, Rates{rates[0], rates[1], rates[2], rates[3], rates[4]});
  });
}
