// Copies between a GPU and the host by way of pinned memory, which libtorch keeps for the next ones: memory of malloc is faulted in page by
// page, and the driver copies it once more.
#include "fused.h"

using namespace fused;

namespace {

// hostMemory is pinned where that is wanted and the system has some to give.
Tensor hostMemory(at::IntArrayRef shape, at::ScalarType type, bool pinned) {
  auto options = at::TensorOptions(type);
  if (pinned) {
    try {
      return at::empty(shape, options.pinned_memory(true));
    } catch (const c10::Error &) {
    }
  }
  return at::empty(shape, options);
}

}  // namespace

extern "C" {

// samtune_empty makes a tensor on the host, of what is there.
char *samtune_empty(void **out, const int64_t *shape, int dims, int dtype, bool pinned) {
  return made(out, [&] { return hostMemory(at::IntArrayRef(shape, dims), static_cast<at::ScalarType>(dtype), pinned); });
}

// samtune_upload copies a tensor of the host to a GPU. From pinned memory it does not wait: libtorch uses that again only afterwards.
char *samtune_upload(void **out, void *t, int gpu) {
  return made(out, [&] { return in(t).to(at::Device(at::kCUDA, gpu), /*non_blocking=*/true); });
}

// samtune_host returns a tensor's elements in memory of the host, row-major.
char *samtune_host(void **out, void *t, bool pinned) {
  return made(out, [&] {
    auto from = in(t).detach().contiguous();
    return from.is_cpu() ? from : hostMemory(from.sizes(), from.scalar_type(), pinned).copy_(from);
  });
}
}
