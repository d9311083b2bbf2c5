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

  // total 0: unknown; from 1 MiB on both count bytes, below it things. `step` may come from anywhere: it is
  // escaped.
  void show(std::string_view step, uint64_t done = 0, uint64_t total = 0);
  // What the step is at, and since when, which only a line that is written over has room for.
  void show(std::string_view step, std::string_view detail, std::chrono::seconds elapsed);
  // Before anything else is written to the terminal.
  void clear();

 private:
  void draw(const std::string& text);
  bool enter(std::string_view step);
  Style style_;
  bool drawn_ = false;
  std::string step_;
  std::chrono::steady_clock::time_point drawnAt_{};
};

// "unpacking 12 of 146", "downloading 1.5 MiB of 80.0 MiB", cut to the terminal's width.
std::string progressText(std::string_view step, uint64_t done, uint64_t total, size_t columns);
// "starting web: booting (12 s)", cut in the same way.
std::string waitingText(std::string_view step, std::string_view detail, std::chrono::seconds elapsed,
                        size_t columns);
// As it begins: "downloading, 80.0 MiB in all".
std::string firstProgressText(std::string_view step, uint64_t total);

}  // namespace cove::cli
