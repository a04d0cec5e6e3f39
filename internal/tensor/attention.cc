// SAM's multi-head attention with its four projections as one node in autograd's graph, where single operations would be 25.
//
// A score q . (W x) is (q W) . x, and a sum of values W x, weighted, is W times the sum of x. Where the prompts' few tokens and an image's
// thousands of cells attend to each other, it is cheaper so to project the tokens, once for each head, than the cells; for a pass back too.
#include <algorithm>
#include <cmath>

#include "fused.h"

namespace {

using namespace fused;

enum Input { Q, K, V, WQ, BQ, WK, BK, WV, BV, WO, BO, Count };

// The inputs: q [B, Nq, dim], k and v [B, Nk, dim], and the projections' weights [inner, dim] and biases, the last one's [dim, inner].
struct Inputs {
  const Tensor &q, &k, &v, &wq, &bq, &wk, &bk, &wv, &bv, &wo, &bo;
  explicit Inputs(at::TensorList of)
      : q(of[Q]), k(of[K]), v(of[V]), wq(of[WQ]), bq(of[BQ]), wk(of[WK]), bk(of[BK]), wv(of[WV]), bv(of[BV]), wo(of[WO]), bo(of[BO]) {}
};

// Gradients collects those of the inputs that are asked for.
struct Gradients {
  AutogradContext *ctx;
  variable_list of = variable_list(Count + 1);  // the last, the number of heads, has none

  bool wanted(int input) const { return ctx->needs_input_grad(input); }

  // parameters passes g, the gradient of a projection's result, on to its weight and its bias, which comes after it.
  void parameters(const Tensor &g, const Tensor &x, int weight) {
    if (wanted(weight)) of[weight] = gradientOfWeight(g, x);
    if (wanted(weight + 1)) of[weight + 1] = gradientOfBias(g);
  }

  // linear passes it on to the projection's input x too.
  void linear(const Tensor &g, const Tensor &x, const Tensor &w, int input, int weight) {
    if (wanted(input)) of[input] = gradientOfInput(g, w);
    parameters(g, x, weight);
  }
};

double scaleOf(const Tensor &w, int64_t heads) { return 1 / std::sqrt(static_cast<double>(w.size(0) / heads)); }

// save keeps the inputs, and then more, for backward.
void save(AutogradContext *ctx, at::TensorList of, std::initializer_list<Tensor> more, int64_t heads) {
  variable_list all(of.begin(), of.end());
  all.insert(all.end(), more);
  ctx->save_for_backward(all);
  ctx->saved_data["heads"] = heads;
}

// EachHead projects all tokens on both sides.
struct EachHead : torch::autograd::Function<EachHead> {
  static Tensor split(const Tensor &x, int64_t heads) {  // [B*heads, N, width]
    auto b = x.size(0), n = x.size(1);
    return x.view({b, n, heads, -1}).transpose(1, 2).reshape({b * heads, n, -1});
  }

  static Tensor join(const Tensor &x, int64_t batch) {  // [B, N, heads*width]
    auto n = x.size(1);
    return x.view({batch, -1, n, x.size(2)}).transpose(1, 2).reshape({batch, n, -1});
  }

  static Tensor forward(AutogradContext *ctx, at::TensorList of, int64_t heads) {
    at::AutoDispatchBelowADInplaceOrView plain;  // what comes out is no view of anything
    Inputs a(of);
    auto qh = split(at::linear(a.q, a.wq, a.bq), heads), kh = split(at::linear(a.k, a.wk, a.bk), heads);
    auto vh = split(at::linear(a.v, a.wv, a.bv), heads);
    auto p = at::softmax(at::bmm(qh, kh.transpose(1, 2)).mul_(scaleOf(a.wq, heads)), -1);
    auto y = join(at::bmm(p, vh), a.q.size(0));
    save(ctx, of, {qh, kh, vh, p, y}, heads);
    return at::linear(y, a.wo, a.bo);
  }

  static variable_list backward(AutogradContext *ctx, variable_list grads) {
    auto all = ctx->get_saved_variables();
    Inputs a(all);
    const Tensor &qh = all[Count], &kh = all[Count + 1], &vh = all[Count + 2], &p = all[Count + 3], &y = all[Count + 4];
    auto heads = ctx->saved_data["heads"].toInt();
    Gradients out{ctx};
    out.parameters(grads[0], y, WO);
    auto dy = split(gradientOfInput(grads[0], a.wo), heads);
    auto dp = at::bmm(dy, vh.transpose(1, 2));
    auto ds = at::_softmax_backward_data(dp, p, -1, p.scalar_type()).mul_(scaleOf(a.wq, heads));
    auto pass = [&](const Tensor &dh, const Tensor &x, const Tensor &w, int input, int weight) {
      out.linear(join(dh, x.size(0)), x, w, input, weight);
    };
    pass(at::bmm(ds, kh), a.q, a.wq, Q, WQ);
    pass(at::bmm(ds.transpose(1, 2), qh), a.k, a.wk, K, WK);
    pass(at::bmm(p.transpose(1, 2), dy), a.v, a.wv, V, WV);
    return out.of;
  }
};

// The few tokens' numbers are written in three ways: [B, N, heads*width] as they are, [heads, B*N, width] to be multiplied by a head's part
// of a weight, and [B, heads*N, dim] to be multiplied by the cells.
Tensor byHead(const Tensor &x, int64_t heads) { return x.view({x.size(0) * x.size(1), heads, -1}).transpose(0, 1); }

Tensor joined(const Tensor &x, int64_t batch) { return x.transpose(0, 1).reshape({batch, x.size(1) / batch, -1}); }

// turned brings numbers from the second of these ways to the third, with first the batch, and back, with first the heads.
Tensor turned(const Tensor &x, int64_t first) {
  auto outer = x.size(0), n = x.size(1) / first;
  return x.view({outer, first, n, -1}).transpose(0, 1).reshape({first, outer * n, -1});
}

Tensor rowsByHead(const Tensor &w, int64_t heads) { return w.view({heads, -1, w.size(1)}); }                       // [heads, width, dim]
Tensor columnsByHead(const Tensor &w, int64_t heads) { return w.view({w.size(0), heads, -1}).permute({1, 2, 0}); }  // [heads, width, dim]

// FewQueries projects the queries by the keys' weight and, after the softmax, their sums of v by the values': prompts that attend to an image.
// The keys' bias moves all scores of a query alike, which a softmax does not see: its gradient is 0.
struct FewQueries : torch::autograd::Function<FewQueries> {
  static Tensor forward(AutogradContext *ctx, at::TensorList of, int64_t heads) {
    at::AutoDispatchBelowADInplaceOrView plain;
    Inputs a(of);
    auto batch = a.q.size(0);
    auto qh = byHead(at::linear(a.q, a.wq, a.bq).mul_(scaleOf(a.wq, heads)), heads);
    auto r = turned(at::bmm(qh, rowsByHead(a.wk, heads)), batch);
    auto p = at::softmax(at::bmm(r, a.k.transpose(1, 2)), -1);  // [B, heads*Nq, Nk]
    auto sums = turned(at::bmm(p, a.v), heads);
    auto y = joined(at::bmm(sums, rowsByHead(a.wv, heads).transpose(1, 2)), batch).add_(a.bv);
    save(ctx, of, {qh, r, p, sums, y}, heads);
    return at::linear(y, a.wo, a.bo);
  }

  static variable_list backward(AutogradContext *ctx, variable_list grads) {
    auto all = ctx->get_saved_variables();
    Inputs a(all);
    const Tensor &qh = all[Count], &r = all[Count + 1], &p = all[Count + 2], &sums = all[Count + 3], &y = all[Count + 4];
    auto heads = ctx->saved_data["heads"].toInt();
    auto batch = a.q.size(0);
    Gradients out{ctx};
    out.parameters(grads[0], y, WO);
    auto dy = gradientOfInput(grads[0], a.wo);
    auto dyh = byHead(dy, heads);
    auto dsums = turned(at::bmm(dyh, rowsByHead(a.wv, heads)), batch);
    if (out.wanted(WV)) out.of[WV] = at::bmm(dyh.transpose(1, 2), sums).view(a.wv.sizes());
    if (out.wanted(BV)) out.of[BV] = gradientOfBias(dy);
    if (out.wanted(V)) out.of[V] = at::bmm(p.transpose(1, 2), dsums);
    auto ds = at::_softmax_backward_data(at::bmm(dsums, a.v.transpose(1, 2)), p, -1, p.scalar_type());
    if (out.wanted(K)) out.of[K] = at::bmm(ds.transpose(1, 2), r);
    auto dr = turned(at::bmm(ds, a.k), heads);
    if (out.wanted(WK)) out.of[WK] = at::bmm(qh.transpose(1, 2), dr).view(a.wk.sizes());
    if (out.wanted(BK)) out.of[BK] = at::zeros_like(a.bk);
    auto dq = joined(at::bmm(dr, rowsByHead(a.wk, heads).transpose(1, 2)), batch).mul_(scaleOf(a.wq, heads));
    out.linear(dq, a.q, a.wq, Q, WQ);
    return out.of;
  }
};

// FewKeys projects the keys by the queries' weight and the values by the last projection's: an image that attends to prompts.
struct FewKeys : torch::autograd::Function<FewKeys> {
  static Tensor forward(AutogradContext *ctx, at::TensorList of, int64_t heads) {
    at::AutoDispatchBelowADInplaceOrView plain;
    Inputs a(of);
    auto batch = a.k.size(0), n = a.k.size(1);
    auto kh = byHead(at::linear(a.k, a.wk, a.bk).mul_(scaleOf(a.wq, heads)), heads), vh = byHead(at::linear(a.v, a.wv, a.bv), heads);
    auto r = turned(at::bmm(kh, rowsByHead(a.wq, heads)), batch), c = turned(at::bmm(kh, a.bq.view({heads, -1, 1})), batch);
    auto scores = at::baddbmm(c, r, a.q.transpose(1, 2));  // [B, heads*Nk, Nq]
    auto p = at::softmax(scores.view({batch, heads, n, -1}), 2).view(scores.sizes());
    auto u = turned(at::bmm(vh, columnsByHead(a.wo, heads)), batch);
    save(ctx, of, {kh, vh, r, p, u}, heads);
    return at::baddbmm(a.bo, p.transpose(1, 2), u);
  }

  static variable_list backward(AutogradContext *ctx, variable_list grads) {
    auto all = ctx->get_saved_variables();
    Inputs a(all);
    const Tensor &kh = all[Count], &vh = all[Count + 1], &r = all[Count + 2], &p = all[Count + 3], &u = all[Count + 4];
    auto heads = ctx->saved_data["heads"].toInt();
    auto batch = a.k.size(0), n = a.k.size(1);
    const Tensor &g = grads[0];
    Gradients out{ctx};
    if (out.wanted(BO)) out.of[BO] = gradientOfBias(g);
    auto du = turned(at::bmm(p, g), heads);
    if (out.wanted(WO)) out.of[WO] = at::bmm(vh.transpose(1, 2), du).permute({2, 0, 1}).reshape(a.wo.sizes());
    out.linear(joined(at::bmm(du, columnsByHead(a.wo, heads).transpose(1, 2)), batch), a.v, a.wv, V, WV);
    auto four = [&](const Tensor &x) { return x.view({batch, heads, n, -1}); };
    auto dp = at::bmm(u, g.transpose(1, 2));
    auto ds = at::_softmax_backward_data(four(dp), four(p), 2, p.scalar_type()).view(p.sizes());
    if (out.wanted(Q)) out.of[Q] = at::bmm(ds.transpose(1, 2), r);
    auto dr = turned(at::bmm(ds, a.q), heads), dc = turned(ds.sum(-1, true), heads);
    if (out.wanted(WQ)) out.of[WQ] = at::bmm(kh.transpose(1, 2), dr).view(a.wq.sizes());
    if (out.wanted(BQ)) out.of[BQ] = at::bmm(kh.transpose(1, 2), dc).view(a.bq.sizes());
    auto dk = at::baddbmm(at::bmm(dc, a.bq.view({heads, 1, -1})), dr, rowsByHead(a.wq, heads).transpose(1, 2));
    out.linear(joined(dk, batch).mul_(scaleOf(a.wq, heads)), a.k, a.wk, K, WK);
    return out.of;
  }
};

// attention chooses the form with the fewest multiplications.
Tensor attention(at::TensorList of, int64_t heads) {
  Inputs a(of);
  double nq = a.q.size(1), nk = a.k.size(1), inner = a.wq.size(0), dim = a.wo.size(0);
  double plain = 2 * (nq + nk) * dim * inner + 2 * nq * nk * inner;
  double fewQueries = 4 * nq * dim * inner + 2 * heads * nq * nk * dim, fewKeys = 4 * nk * dim * inner + 2 * heads * nq * nk * dim;
  if (plain <= std::min(fewQueries, fewKeys)) return EachHead::apply(of, heads);
  return fewQueries < fewKeys ? FewQueries::apply(of, heads) : FewKeys::apply(of, heads);
}

}  // namespace

// of holds q, k, v, and the weights and biases of their projections and of the output's.
extern "C" char *samtune_attention(void **out, void **of, int64_t heads) {
  return made(out, [&] {
    variable_list inputs;
    for (int i = 0; i < Count; i++) inputs.push_back(in(of[i]));
    return attention(inputs, heads);
  });
}
