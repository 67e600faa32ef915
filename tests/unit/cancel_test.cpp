#include "ingot/cancel.hpp"

#include <gtest/gtest.h>

#include <csignal>
#include <thread>
#include <type_traits>
#include <utility>

namespace ingot {
namespace {

static_assert(noexcept(std::declval<const Cancel&>().request()));
static_assert(noexcept(std::declval<const Cancel&>().requested()));
static_assert(std::is_nothrow_copy_constructible_v<Cancel>);

struct Options {
  bool flag = true;
  Cancel cancel = Cancel::never();
};
constexpr Options kOptions{.flag = false};
static_assert(!kOptions.cancel.can_be_requested());

TEST(Cancel, IsSharedByCopiesOnly) {
  const Cancel cancel;
  const Cancel copy = cancel;
  const Cancel other;
  EXPECT_FALSE(copy.requested());
  cancel.request();
  EXPECT_TRUE(cancel.requested());
  EXPECT_TRUE(copy.requested());
  EXPECT_FALSE(other.requested());
  cancel.request();
  EXPECT_TRUE(copy.requested()) << "stays raised";
}

TEST(Cancel, SurvivesTheHandleThatMadeIt) {
  Cancel kept = Cancel::never();
  {
    const Cancel maker;
    kept = maker;
    maker.request();
  }
  EXPECT_TRUE(kept.requested());
}

TEST(Cancel, AHandleThatIsMovedFromIsAsNever) {
  Cancel from;
  const Cancel copy = from;
  const Cancel to = std::move(from);
  from.request();  // NOLINT(bugprone-use-after-move): what is tested
  EXPECT_FALSE(from.requested());
  EXPECT_FALSE(to.requested());
  copy.request();
  EXPECT_TRUE(to.requested());
  from = to;
  EXPECT_TRUE(from.requested());
}

TEST(Cancel, CanBeAssignedToItself) {
  Cancel cancel;
  const Cancel& same = cancel;
  cancel = same;
  cancel.request();
  EXPECT_TRUE(cancel.requested());
}

TEST(Cancel, NeverIsNotRequested) {
  const Cancel never = Cancel::never();
  never.request();
  EXPECT_FALSE(never.requested());
  EXPECT_FALSE(never.can_be_requested());
  EXPECT_TRUE(Cancel().can_be_requested());
}

TEST(Cancel, ReachesAnotherThread) {
  const Cancel cancel;
  std::thread worker([cancel] {
    while (!cancel.requested()) std::this_thread::yield();
  });
  cancel.request();
  worker.join();
  EXPECT_TRUE(cancel.requested());
}

const Cancel* raised_by_signal = nullptr;

TEST(Cancel, CanBeRequestedInASignalHandler) {
  const Cancel cancel;
  raised_by_signal = &cancel;
  const auto before = std::signal(SIGUSR1, [](int) { raised_by_signal->request(); });
  std::raise(SIGUSR1);
  std::signal(SIGUSR1, before);
  EXPECT_TRUE(cancel.requested());
}

}  // namespace
}  // namespace ingot
