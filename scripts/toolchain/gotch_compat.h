// Lets gotch v0.9.1, which was generated for libtorch 2.1, build unmodified on libtorch 2.2 to 2.11.
//
// Set-up puts this file before every C++ source by the compiler's -include. Of the 2,700 operators that
// gotch wraps three have other arguments since 2.2, so that its calls no longer compile:
// _cslt_sparse_mm, _scaled_mm and _scaled_mm_out. The templates below are found before at::'s functions,
// take any arguments and throw. samtune calls none of the three.
//
// For C, and for libtorch 2.1, the file is empty.
#ifdef __cplusplus
#include <torch/torch.h>
#if TORCH_VERSION_MAJOR > 2 || (TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR > 1)
namespace torch {
template <class... A>
at::Tensor _cslt_sparse_mm(const A&...) {
  TORCH_CHECK(false, "_cslt_sparse_mm: not in this build");
}
template <class... A>
std::tuple<at::Tensor, at::Tensor> _scaled_mm(const A&...) {
  TORCH_CHECK(false, "_scaled_mm: not in this build");
}
template <class... A>
std::tuple<at::Tensor, at::Tensor> _scaled_mm_out(const A&...) {
  TORCH_CHECK(false, "_scaled_mm_out: not in this build");
}
}  // namespace torch
#endif
#endif
