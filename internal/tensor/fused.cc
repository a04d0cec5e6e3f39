// What would be many of libtorch's operations, as one. A linear layer and SAM's attention are one node each in autograd's graph: what autograd
// does for a node, beside the node's own work, takes longer than most of the decoder's operations do, and of single operations an attention
// would be 25. A step of AdamW goes through memory once.
#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/version.h>

#include <cmath>
#include <cstring>

namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// What gradients a linear layer y = x w^T + b passes on, by the gradient of y.
Tensor gradientOfInput(const Tensor &g, const Tensor &w) { return at::matmul(g, w); }

Tensor gradientOfWeight(const Tensor &g, const Tensor &x) {
  return at::mm(g.reshape({-1, g.size(-1)}).t(), x.reshape({-1, x.size(-1)}));
}

Tensor gradientOfBias(const Tensor &g) { return g.reshape({-1, g.size(-1)}).sum(0); }

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

// Multi-head attention with projections: q [B, Nq, dim], k and v [B, Nk, dim].
struct Attention : torch::autograd::Function<Attention> {
  static Tensor split(const Tensor &x, int64_t heads) {  // [B*heads, N, width]
    auto b = x.size(0), n = x.size(1);
    return x.view({b, n, heads, -1}).transpose(1, 2).reshape({b * heads, n, -1});
  }

  static Tensor join(const Tensor &x, int64_t batch) {  // [B, N, heads*width]
    auto n = x.size(1);
    return x.view({batch, -1, n, x.size(2)}).transpose(1, 2).reshape({batch, n, -1});
  }

  static Tensor forward(AutogradContext *ctx, const Tensor &q, const Tensor &k, const Tensor &v, const Tensor &wq, const Tensor &bq,
                        const Tensor &wk, const Tensor &bk, const Tensor &wv, const Tensor &bv, const Tensor &wo, const Tensor &bo, int64_t heads) {
    at::AutoDispatchBelowADInplaceOrView plain;
    auto qh = split(at::linear(q, wq, bq), heads), kh = split(at::linear(k, wk, bk), heads), vh = split(at::linear(v, wv, bv), heads);
    auto scale = 1 / std::sqrt(static_cast<double>(qh.size(2)));
    auto p = at::softmax(at::bmm(qh, kh.transpose(1, 2)).mul_(scale), -1);
    auto y = join(at::bmm(p, vh), q.size(0));
    ctx->save_for_backward({q, k, v, wq, wk, wv, wo, qh, kh, vh, p, y});
    ctx->saved_data["heads"] = heads;
    return at::linear(y, wo, bo);
  }

  static variable_list backward(AutogradContext *ctx, variable_list grads) {
    auto saved = ctx->get_saved_variables();
    const Tensor &q = saved[0], &k = saved[1], &v = saved[2], &wq = saved[3], &wk = saved[4], &wv = saved[5], &wo = saved[6];
    const Tensor &qh = saved[7], &kh = saved[8], &vh = saved[9], &p = saved[10], &y = saved[11];
    auto heads = ctx->saved_data["heads"].toInt();
    auto scale = 1 / std::sqrt(static_cast<double>(qh.size(2)));
    const Tensor &g = grads[0];
    variable_list out(12);
    auto dy = split(gradientOfInput(g, wo), heads);
    if (ctx->needs_input_grad(9)) out[9] = gradientOfWeight(g, y);
    if (ctx->needs_input_grad(10)) out[10] = gradientOfBias(g);
    auto dp = at::bmm(dy, vh.transpose(1, 2));
    auto ds = at::_softmax_backward_data(dp, p, -1, p.scalar_type()).mul_(scale);
    auto pass = [&](int64_t input, int64_t weight, const Tensor &dh, const Tensor &x, const Tensor &w) {
      auto d = join(dh, x.size(0));
      if (ctx->needs_input_grad(input)) out[input] = gradientOfInput(d, w);
      if (ctx->needs_input_grad(weight)) out[weight] = gradientOfWeight(d, x);
      if (ctx->needs_input_grad(weight + 1)) out[weight + 1] = gradientOfBias(d);
    };
    pass(0, 3, at::bmm(ds, kh), q, wq);
    pass(1, 5, at::bmm(ds.transpose(1, 2), qh), k, wk);
    pass(2, 7, at::bmm(p.transpose(1, 2), dy), v, wv);
    return out;
  }
};

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

const Tensor &in(void *t) { return *static_cast<Tensor *>(t); }

}  // namespace

extern "C" char *samtune_linear(void **out, void *x, void *w, void *b) {
  return made(out, [&] { return Linear::apply(in(x), in(w), in(b)); });
}

// of holds q, k, v, and the weights and biases of their projections and of the output's.
extern "C" char *samtune_attention(void **out, void **of, int64_t heads) {
  return made(out, [&] {
    return Attention::apply(in(of[0]), in(of[1]), in(of[2]), in(of[3]), in(of[4]), in(of[5]), in(of[6]), in(of[7]), in(of[8]), in(of[9]), in(of[10]), heads);
  });
}

// of holds weights, gradient, first and second moment, all but the gradient changed; rates are the members of Rates.
extern "C" char *samtune_adamw(void **of, int64_t step, const double *rates) {
  return done([&] {
    for (int i = 1; i < 4; i++)  // the fused step does not look
      TORCH_CHECK(in(of[i]).sizes() == in(of[0]).sizes(), "weights of shape ", in(of[0]).sizes(), " beside a gradient or moment of ", in(of[i]).sizes());
    adamw(in(of[0]), in(of[1]), in(of[2]), in(of[3]), step, Rates{rates[0], rates[1], rates[2], rates[3], rates[4]});
  });
}
