#include "cove/progress.h"

#include <algorithm>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/text.h"
#include "cove/stdio.h"

namespace cove::cli {

namespace {

constexpr auto kRedrawInterval = std::chrono::milliseconds(100);
constexpr uint64_t kBytesFrom = 1 << 20;
constexpr auto kWorthTelling = std::chrono::seconds(3);  // of time that passed
constexpr std::string_view kPrefix = "cove: ";

std::string amount(uint64_t count, uint64_t total) {
  return total >= kBytesFrom ? formatSize(count) : std::to_string(count);
}

size_t terminalColumns() {
  struct winsize size = {};
  if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return 80;
  return size.ws_col;
}

}  // namespace

std::string progressText(std::string_view step, uint64_t done, uint64_t total, size_t columns) {
  std::string text = escapeForTerminal(step);
  std::string suffix;
  if (total > 0) suffix = " " + amount(std::min(done, total), total) + " of " + amount(total, total);
  // Wide characters are rare in steps; a line that is cut too late only wraps.
  if (text.size() + suffix.size() >= columns) {
    size_t keep = columns > suffix.size() + 4 ? columns - suffix.size() - 4 : 0;
    keep = std::min(keep, text.size());
    while (keep > 0 && keep < text.size() && (text[keep] & 0xc0) == 0x80) --keep;
    text = text.substr(0, keep) + "...";
  }
  return text + suffix;
}

std::string firstProgressText(std::string_view step, uint64_t total) {
  std::string text = escapeForTerminal(step);
  return total == 0 ? text : text + ", " + amount(total, total) + " in all";
}

std::string waitingText(std::string_view step, std::string_view detail, std::chrono::seconds elapsed,
                        size_t columns) {
  std::string text = str(std::string(step), ": ", std::string(detail));
  if (elapsed >= kWorthTelling) text += str(" (", formatAge(elapsed.count()), ")");
  return progressText(text, 0, 0, columns);
}

bool ProgressLine::enter(std::string_view step) {
  bool changed = step != step_;
  step_ = step;
  return changed;
}

void ProgressLine::show(std::string_view step, uint64_t done, uint64_t total) {
  if (style_ == Style::kNone) return;
  bool changed = enter(step);
  if (style_ == Style::kLines) {
    if (changed) writeErr("cove: " + firstProgressText(step, total) + "\n");
    return;
  }
  auto now = std::chrono::steady_clock::now();
  if (!changed && now - drawnAt_ < kRedrawInterval) return;
  drawnAt_ = now;
  draw(progressText(step, done, total, terminalColumns() - kPrefix.size()));
}

void ProgressLine::show(std::string_view step, std::string_view detail, std::chrono::seconds elapsed) {
  if (style_ != Style::kTerminal) return show(step);
  enter(step);
  draw(waitingText(step, detail, elapsed, terminalColumns() - kPrefix.size()));
}

void ProgressLine::draw(const std::string& text) {
  writeErr("\r" + std::string(kPrefix) + text + "\x1b[K");
  drawn_ = true;
}

void ProgressLine::clear() {
  if (drawn_) writeErr("\r\x1b[K");
  drawn_ = false;
}

}  // namespace cove::cli
