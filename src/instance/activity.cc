#include "instance/activity.h"

#include "base/error.h"
#include "base/text.h"

namespace cove {

Activity::Entry Activity::begin(std::string verb, std::string subject) {
  if (draining_) throw Error("the daemon is ending").hint("Try again; the next command starts it anew.");
  if (std::string other = of(subject); !other.empty())
    throw Error(str("cannot go on with ", subject, ": ", other, " it is under way")).hint("Try again later.");
  items_.emplace(++lastId_, Item{std::move(verb), std::move(subject)});
  return {*this, lastId_};
}

Activity::Entry::~Entry() {
  if (activity_ == nullptr) return;
  activity_->items_.erase(id_);
  if (!activity_->items_.empty()) return;
  for (auto& waiter : activity_->waiting_) waiter->fulfill();
  activity_->waiting_.clear();
}

std::string Activity::of(std::string_view subject) const {
  for (const auto& [id, item] : items_)
    if (item.subject == subject) return item.verb;
  return "";
}

std::vector<std::string> Activity::list() const {
  std::vector<std::string> result;
  for (const auto& [id, item] : items_) result.push_back(str(item.verb, " ", item.subject));
  return result;
}

kj::Promise<void> Activity::drain() {
  draining_ = true;
  if (items_.empty()) return kj::READY_NOW;
  auto waiter = kj::newPromiseAndFulfiller<void>();
  waiting_.push_back(kj::mv(waiter.fulfiller));
  return kj::mv(waiter.promise);
}

}  // namespace cove
