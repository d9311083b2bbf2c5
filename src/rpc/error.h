// cove::Error across RPC: the server's Error becomes a kj::Exception whose text carries message, hint and
// exit status; the client's call gets the same Error back. Disconnects and overloads keep their KJ type.
#pragma once
#include <kj/exception.h>

#include "base/error.h"

namespace cove {

kj::Exception toKj(const Error& error);
// What a caught kj::Exception means to a user. A foreign text is bounded, and its file names are dropped.
Error fromKj(const kj::Exception& exception);
// The Error of whatever was caught: cove::Error, kj::Exception (KJ throws a class derived from it),
// std::exception.
Error currentError();
inline bool isDisconnected(const kj::Exception& e) {
  return e.getType() == kj::Exception::Type::DISCONNECTED;
}

}  // namespace cove
