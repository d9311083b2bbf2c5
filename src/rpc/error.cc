#include "rpc/error.h"

#include "base/text.h"

namespace cove {

namespace {
// Fields are separated by U+001F, which no message holds: they are escaped where they are printed, and this
// byte is dropped where they are made.
constexpr char kSeparator = '\x1f';
constexpr std::string_view kMark = "cove\x1f";
constexpr size_t kLongest = 16 * 1024;

std::string clean(std::string_view text) {
  std::string result;
  for (char c : text.substr(0, kLongest))
    if (c != kSeparator) result += c;
  return result;
}
}  // namespace

kj::Exception toKj(const Error& error) {
  std::string text = str(kMark.data(), static_cast<int>(error.status()), kSeparator,
                         clean(error.message()).c_str(), kSeparator, clean(error.hint()).c_str());
  return {kj::Exception::Type::FAILED, __FILE__, __LINE__, kj::heapString(text.data(), text.size())};
}

Error fromKj(const kj::Exception& exception) {
  std::string_view text(exception.getDescription().begin(), exception.getDescription().size());
  size_t mark = text.find(kMark);
  if (mark == std::string_view::npos) {
    if (isDisconnected(exception)) return Error("the connection was lost");
    return Error(clean(text));
  }
  text.remove_prefix(mark + kMark.size());
  size_t first = text.find(kSeparator);
  size_t second = first == std::string_view::npos ? first : text.find(kSeparator, first + 1);
  if (second == std::string_view::npos) return Error(clean(text));
  std::string_view status = text.substr(0, first);
  Exit exit = status == "2" ? Exit::kUsage : status == "3" ? Exit::kRefused : Exit::kFailed;
  return Error(clean(text.substr(first + 1, second - first - 1)))
      .hint(clean(text.substr(second + 1)))
      .status(exit);
}

Error currentError() {
  try {
    throw;
  } catch (const Error& e) {
    return e;
  } catch (const kj::Exception& e) {
    return fromKj(e);
  } catch (const std::exception& e) {
    return Error(e.what());
  }
}

}  // namespace cove
