#include "instance/pool.h"

#include <algorithm>

namespace cove {

namespace {
constexpr kj::Duration kQuiet = 1 * kj::SECONDS;  // since the last run, which comes first
}

std::optional<LeasedInstance> Pool::take(const std::string& kind) {
  if (kind != kind_ || waiting_.empty()) return std::nullopt;
  LeasedInstance taken = kj::mv(waiting_.front());
  waiting_.erase(waiting_.begin());
  return taken;
}

void Pool::want(const std::string& kind, InstanceSpec spec) {
  if (limits_.size == 0) return;
  if (kind != kind_) waiting_.clear();
  kind_ = kind;
  spec_ = std::move(spec);
  filling_ = kj::Promise<void>(fill()).eagerlyEvaluate(
      [this](kj::Exception&& e) { log_.warning("no machine waits for a run: " + fromKj(e).message()); });
}

std::vector<std::string> Pool::clear() {
  filling_ = nullptr;
  std::vector<std::string> ids;
  for (const LeasedInstance& each : waiting_) ids.push_back(each.id);
  waiting_.clear();
  return ids;
}

bool Pool::holds(const std::string& id) const {
  return std::any_of(waiting_.begin(), waiting_.end(),
                     [&](const LeasedInstance& each) { return each.id == id; });
}

void Pool::forget(const std::string& id) {
  std::erase_if(waiting_, [&](const LeasedInstance& each) { return each.id == id; });
}

co::Co<void> Pool::fill() {
  co_await timer_.afterDelay(kQuiet);
  while (waiting_.size() < limits_.size) {
    LeasedInstance made = co_await make_(spec_);
    waiting_.push_back(kj::mv(made));
  }
  if (limits_.idle == 0 * kj::SECONDS) co_return;
  co_await timer_.afterDelay(limits_.idle);
  waiting_.clear();
}

}  // namespace cove
