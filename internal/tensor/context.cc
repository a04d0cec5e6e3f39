// Switches of libtorch's context that gotch does not wrap.
#include <ATen/Context.h>
#include <torch/version.h>

#include <cstdlib>

extern "C" void samtune_repeatable() {
  // cuBLAS may take another order of summation where streams share its workspace; it reads this when it starts.
  setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8", 0);
  auto &context = at::globalContext();
  context.setDeterministicCuDNN(true);
  context.setBenchmarkCuDNN(false);
  context.setDeterministicAlgorithms(true, /*warn_only=*/true);
#if TORCH_VERSION_MAJOR > 2 || TORCH_VERSION_MINOR >= 2
  context.setDeterministicFillUninitializedMemory(false);  // nothing here reads what it did not write
#endif
  // With TF32 a product of float32 keeps 10 bits of mantissa. Whoever wants speed for bits asks for bfloat16.
  context.setAllowTF32CuBLAS(false);
  context.setAllowTF32CuDNN(false);
}
