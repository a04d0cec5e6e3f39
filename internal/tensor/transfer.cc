// Copies between a GPU and the host by way of pinned memory, which libtorch keeps for the next ones: memory of malloc is faulted in page by
// page, and the driver copies it once more.
#include "fused.h"

using namespace fused;

extern "C" {

// samtune_pinned makes a tensor of pinned memory, of what is there.
char *samtune_pinned(void **out, const int64_t *shape, int dims, int dtype) {
  return made(out, [&] {
    auto options = at::TensorOptions(static_cast<at::ScalarType>(dtype)).pinned_memory(true);
    return at::empty(at::IntArrayRef(shape, dims), options);
  });
}

// samtune_upload copies a tensor of the host to a GPU. From pinned memory it does not wait: libtorch uses that again only afterwards.
char *samtune_upload(void **out, void *t, int gpu) {
  return made(out, [&] { return in(t).to(at::Device(at::kCUDA, gpu), /*non_blocking=*/true); });
}

// samtune_host returns a tensor's elements in memory of the host, row-major; pinned says in which memory those of a GPU are.
char *samtune_host(void **out, void *t, bool pinned) {
  return made(out, [&] {
    auto from = in(t).detach().contiguous();
    if (from.is_cpu()) return from;
    return at::empty(from.sizes(), from.options().device(at::kCPU).pinned_memory(pinned)).copy_(from);
  });
}
}
