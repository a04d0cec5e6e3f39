// Switches of libtorch's context that gotch does not wrap.
#include <ATen/Context.h>
#include <torch/version.h>

#include <dlfcn.h>

#include <cstdlib>

extern "C" void samtune_repeatable() {
  auto &context = at::globalContext();
  context.setDeterministicCuDNN(true);
  context.setBenchmarkCuDNN(false);
  context.setDeterministicAlgorithms(true, /*warn_only=*/true);
  // Products repeat as long as no two streams share a workspace of cuBLAS's: libtorch gives each handle its own, and each thread has
  // a handle. Older libtorchs ask once whether this variable promises it, and warn where it does not. It must not stay: the newer parse
  // its text at every product, which takes several times as long as the product.
  using Ask = void (*)(const at::Context *);
  auto ask = reinterpret_cast<Ask>(dlsym(RTLD_DEFAULT, "_ZNK2at7Context33alertCuBLASConfigNotDeterministicEv"));
  const char *config = "CUBLAS_WORKSPACE_CONFIG";
  if (ask != nullptr && std::getenv(config) == nullptr) {
    setenv(config, ":4096:8", 1);
    ask(&context);
    unsetenv(config);
  }
#if TORCH_VERSION_MAJOR > 2 || TORCH_VERSION_MINOR >= 2
  context.setDeterministicFillUninitializedMemory(false);  // nothing here reads what it did not write
#endif
  // With TF32 a product of float32 keeps 10 bits of mantissa. Whoever wants speed for bits asks for bfloat16.
  context.setAllowTF32CuBLAS(false);
  context.setAllowTF32CuDNN(false);
}
