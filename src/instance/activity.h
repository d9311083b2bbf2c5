// What is under way in the daemon: one change at a time of each instance or image, and none once it ends.
#pragma once
#include <kj/async.h>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace cove {

class Activity {
 public:
  // One change; it is under way until this is destroyed.
  class Entry {
   public:
    Entry(Entry&& other) noexcept : activity_(std::exchange(other.activity_, nullptr)), id_(other.id_) {}
    ~Entry();

   private:
    friend class Activity;
    Entry(Activity& activity, uint64_t id) : activity_(&activity), id_(id) {}
    Activity* activity_;
    uint64_t id_;
  };

  // An Error while another change of `subject` is under way, or when the daemon is ending. `verb` as in
  // "creating".
  Entry begin(std::string verb, std::string subject);
  // "creating" where something is under way with that subject, else "".
  std::string of(std::string_view subject) const;
  std::vector<std::string> list() const;  // "creating NAME"
  bool empty() const { return items_.empty(); }

  // Lets nothing begin any more; resolves when nothing is under way.
  kj::Promise<void> drain();

 private:
  struct Item {
    std::string verb, subject;
  };
  std::map<uint64_t, Item> items_;
  uint64_t lastId_ = 0;
  bool draining_ = false;
  std::vector<kj::Own<kj::PromiseFulfiller<void>>> waiting_;
};

}  // namespace cove
