#include "ingot/error.hpp"
#include "src/session/loaded.hpp"

namespace ingot {

using namespace internal;

std::shared_ptr<const Executable> Executable::load(std::shared_ptr<const Model> model,
                                                   const LoadOptions& options) {
  if (model == nullptr) fail(ErrorCode::invalid_argument, "Executable::load: there is no model");
  auto impl = std::make_unique<Impl>();
  impl->lowered = lower(*model, options);
  const MemoryPlan& plan = impl->plan();
  if (!plan.fits()) {
    fail(ErrorCode::out_of_memory, model->file().path(), " does not fit: ", plan.to_string());
  }
  impl->weights = std::make_shared<const Weights>(model->shared_file(), impl->program());
  for (Placed& part : impl->lowered.parts) part.compiled = part.lowered->compile(impl->weights);
  impl->device = impl->lowered.parts.front().device->info();
  impl->model = std::move(model);
  return std::shared_ptr<const Executable>(new Executable(std::move(impl)));
}

Executable::Executable(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Executable::~Executable() = default;

const std::shared_ptr<const Model>& Executable::model() const {
  return impl_->model;
}
const MemoryPlan& Executable::plan() const {
  return impl_->plan();
}
const PackReport& Executable::pack_report() const {
  return impl_->compiled().pack_report();
}
const DeviceInfo& Executable::device() const {
  return impl_->device;
}

}  // namespace ingot
