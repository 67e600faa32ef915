#include "ingot/error.hpp"
#include "src/arch/architecture.hpp"
#include "src/device/registry.hpp"
#include "src/session/loaded.hpp"

namespace ingot {

using namespace internal;

std::shared_ptr<const Executable> Executable::load(std::shared_ptr<const Model> model,
                                                   const LoadOptions& options) {
  auto impl = std::make_unique<Impl>();
  impl->plan = plan_memory(*model, options);
  if (!impl->plan.fits()) {
    fail(ErrorCode::out_of_memory, model->file().path(), " does not fit: ", impl->plan.to_string());
  }
  const Device& device = find_device(options.device);
  impl->options = options;
  impl->options.run.context = impl->plan.context;
  impl->device = device.info();
  impl->program = std::make_shared<const Program>(
      build_program(model->spec(), model->file(), impl->options.run));
  impl->weights = std::make_shared<const Weights>(model->shared_file(), *impl->program);
  impl->limits = step_limits(options, *impl->program, impl->plan.context);
  impl->page_counts = page_counts(*impl->program, impl->plan.context, impl->plan.max_sequences,
                                  impl->limits.tokens);
  impl->compiled = device.compile(impl->program, impl->weights, options.compile);
  impl->model = std::move(model);
  return std::shared_ptr<const Executable>(new Executable(std::move(impl)));
}

Executable::Executable(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Executable::~Executable() = default;

const std::shared_ptr<const Model>& Executable::model() const {
  return impl_->model;
}
const MemoryPlan& Executable::plan() const {
  return impl_->plan;
}
const PackReport& Executable::pack_report() const {
  return impl_->compiled->pack_report();
}
const DeviceInfo& Executable::device() const {
  return impl_->device;
}

}  // namespace ingot
