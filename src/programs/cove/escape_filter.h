// Finds the key that leaves a console in what a user types.
#pragma once
#include <string>
#include <string_view>

namespace cove::cli {

// Ctrl-] three times in a row. Fewer of them go to the guest when another key follows.
class EscapeFilter {
 public:
  struct Result {
    std::string pass;  // for the guest
    bool leave = false;
  };
  Result feed(std::string_view typed);

 private:
  int seen_ = 0;
};

}  // namespace cove::cli
