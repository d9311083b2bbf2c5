// The one error model: what failed, on what, why, and what to do about it.
//
// An Error travels as an exception inside a process and as text across RPC (rpc/error.h); the top of each
// program prints it once and turns it into an exit status. Absence is std::optional, never an Error.
#pragma once
#include <exception>
#include <string>
#include <string_view>

namespace cove {

// Exit statuses of docs/commands.md. Under `run` and `shell` every failure of cove itself is kRunFailed.
enum class Exit : int {
  kDone = 0,
  kFailed = 1,
  kUsage = 2,
  kRefused = 3,
  kRunFailed = 125,
  kNotExecutable = 126,
  kNotFound = 127,
};

class Error : public std::exception {
 public:
  explicit Error(std::string message) : message_(std::move(message)) {}

  // What the user can do, in one or more lines. Commands are on lines of their own, ready for copying.
  Error& hint(std::string text) & { return hint_ = std::move(text), *this; }
  Error&& hint(std::string text) && { return std::move(hint(std::move(text))); }
  Error& status(Exit status) & { return status_ = status, *this; }
  Error&& status(Exit s) && { return std::move(status(s)); }

  const char* what() const noexcept override { return message_.c_str(); }
  const std::string& message() const noexcept { return message_; }
  const std::string& hint() const noexcept { return hint_; }
  Exit status() const noexcept { return status_; }
  // The errno of the system call that failed, 0 when none did.
  int code() const noexcept { return code_; }

 private:
  friend Error sysError(std::string_view operation, std::string_view subject, int code);
  std::string message_;
  std::string hint_;
  Exit status_ = Exit::kFailed;
  int code_ = 0;
};

// "cannot OPERATION SUBJECT: REASON", with the reason of `code`. The overload without it takes errno: call it
// before anything else can change errno.
Error sysError(std::string_view operation, std::string_view subject, int code);
Error sysError(std::string_view operation, std::string_view subject);

// The result of a system call, or the error that it left. Retries EINTR only where the caller loops.
template <typename T>
T check(T result, std::string_view operation, std::string_view subject = {}) {
  if (result == static_cast<T>(-1)) throw sysError(operation, subject);
  return result;
}

}  // namespace cove
