#include "ingot/border.hpp"
#include "ingot/error.hpp"
#include "src/session/loaded.hpp"

namespace ingot {

using namespace internal;

namespace {

// What is odd about the options, beside what is odd about the model.
std::vector<std::string> load_warnings(const Model& model, const LoadOptions& options,
                                       const DeviceInfo& device) {
  std::vector<std::string> warnings = model.warnings();
  const CompileOptions& compile = options.compile;
  if (compile.host_executor == nullptr && compile.threads > device.threads) {
    warnings.push_back(detail::concat(
        compile.threads, " threads were asked for, but device ", device.name, " has only ",
        device.threads, device.threads == 1 ? " processor" : " processors",
        " to use: they will wait for each other, give ", device.threads, " or fewer"));
  }
  return warnings;
}

}  // namespace

std::shared_ptr<const Executable> Executable::load(std::shared_ptr<const Model> model,
                                                   const LoadOptions& options) try {
  detail::required(model.get(), "Executable::load", "a model");
  auto impl = std::make_unique<Impl>();
  impl->lowered = lower(*model, options);
  const MemoryPlan& plan = impl->plan();
  if (!plan.fits()) {
    fail(ErrorCode::out_of_memory, model->file().path(), " does not fit: ", plan.to_string());
  }
  if (!options.map && model->file().copied_bytes() < model->file().total_bytes()) {
    model = Model::open(model->file().path(), {.map = false});
  }
  impl->weights = std::make_shared<const Weights>(model->shared_file(), impl->program());
  for (Placed& part : impl->lowered.parts) part.compiled = part.lowered->compile(impl->weights);
  impl->device = impl->lowered.parts.front().device->info();
  impl->warnings = load_warnings(*model, options, impl->device);
  impl->model = std::move(model);
  return std::shared_ptr<const Executable>(new Executable(std::move(impl)));
} catch (...) {
  detail::rethrow_at_border("Executable::load");
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
const std::vector<std::string>& Executable::warnings() const {
  return impl_->warnings;
}

}  // namespace ingot
