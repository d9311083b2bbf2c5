#include "base/error.h"

#include <cerrno>
#include <cstring>

namespace cove {

Error sysError(std::string_view operation, std::string_view subject, int code) {
  std::string message = "cannot ";
  message += operation;
  if (!subject.empty()) message.append(" ").append(subject);
  message.append(": ").append(strerrordesc_np(code) ? strerrordesc_np(code) : "unknown error");
  Error error(std::move(message));
  error.code_ = code;
  return error;
}

Error sysError(std::string_view operation, std::string_view subject) {
  return sysError(operation, subject, errno);
}

}  // namespace cove
