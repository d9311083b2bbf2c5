// What cove is doing, on stderr: one line that is written over on a terminal, a line per step elsewhere,
// nothing when quiet.
#pragma once
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace cove::cli {

class ProgressLine {
 public:
  enum class Style { kNone, kLines, kTerminal };
  explicit ProgressLine(Style style) : style_(style) {}
  ~ProgressLine() { clear(); }
  ProgressLine(const ProgressLine&) = delete;

  // `done` of `total` in percent; total 0: unknown. `step` may come from anywhere: it is escaped.
  void show(std::string_view step, uint64_t done = 0, uint64_t total = 0);
  // Before anything else is written to the terminal.
  void clear();

 private:
  void draw(const std::string& text);
  Style style_;
  bool drawn_ = false;
  std::string step_;
  std::chrono::steady_clock::time_point drawnAt_{};
};

// "step 42%", cut to the terminal's width.
std::string progressText(std::string_view step, uint64_t done, uint64_t total, size_t columns);

}  // namespace cove::cli
