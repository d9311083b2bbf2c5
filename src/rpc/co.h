// Coroutines over KJ 0.9 promises, as KJ 1.x has them built in.
//
// A coroutine returns Co<T>, which is a kj::Promise<T>. Dropping it cancels the coroutine: the frame is
// destroyed with the promise. The frame's event fires when the awaited node is ready, so nothing polls.
//
// An RPC method is a coroutine behind its override: `kj::Promise<void> stat(StatContext c) override { return
// statFile(c); }`; an Error thrown in it reaches the caller whole. What a coroutine needs after its first
// co_await it takes by value: references die with the caller's full expression.
//
// g++ 12: KJ_ASSERT_NONNULL(co_await p) crashes it, and a lambda with captures, an aggregate in braces or the
// result of ?: inside a co_await expression is destroyed twice. Bind each to a local first; ./test lint looks
// for them.
//
// Uses internals of KJ 0.9 (kj::_::Event, PromiseNode). Replace by KJ's own when the version is >= 1.0.
#pragma once
#include <capnp/capability.h>
#include <coroutine>
#include <exception>
#include <kj/async.h>
#include <kj/debug.h>

#include "rpc/error.h"

namespace cove::co {
namespace internal = kj::_;

struct AwaiterBase {
  kj::Own<internal::PromiseNode> node;
  virtual void fetch() = 0;
};

struct FrameEvent : internal::Event {
  std::coroutine_handle<> frame;
  AwaiterBase* waiting = nullptr;
  void traceEvent(internal::TraceBuilder&) override {}
  kj::Maybe<kj::Own<internal::Event>> fire() override {
    auto awaiter = waiting;
    waiting = nullptr;
    awaiter->fetch();
    frame.resume();
    return nullptr;
  }
};

template <typename T>
struct Awaiter final : AwaiterBase {
  internal::ExceptionOr<internal::FixVoid<T>> result;
  FrameEvent& event;

  Awaiter(kj::Promise<T>&& promise, FrameEvent& frameEvent) : event(frameEvent) {
    node = internal::PromiseNode::from(kj::mv(promise));
    node->setSelfPointer(&node);
  }
  void fetch() override {
    node->get(result);
    node = nullptr;
  }
  bool await_ready() { return false; }
  void await_suspend(std::coroutine_handle<>) {
    event.waiting = this;
    node->onReady(&event);
  }
  T await_resume() {
    KJ_IF_MAYBE (e, result.exception) kj::throwFatalException(kj::mv(*e));
    if constexpr (!std::is_void_v<T>) return kj::mv(KJ_ASSERT_NONNULL(result.value));
  }
};

template <typename T>
struct Adapter {
  std::coroutine_handle<> frame;
  template <typename P>
  Adapter(kj::PromiseFulfiller<T>& fulfiller, std::coroutine_handle<P> handle) : frame(handle) {
    handle.promise().fulfiller = &fulfiller;
  }
  ~Adapter() { frame.destroy(); }
};

// g++ 12 crashes on a coroutine whose return type has a throwing destructor (as kj::Promise has), so
// coroutines return this handle, whose destructor does not throw.
template <typename T>
struct [[nodiscard]] Co : kj::Promise<T> {
  Co(kj::Promise<T>&& promise) : kj::Promise<T>(kj::mv(promise)) {}
  Co(Co&&) noexcept = default;
  ~Co() noexcept {}
};

template <typename T, typename Self>
struct PromiseBase : FrameEvent {
  kj::PromiseFulfiller<T>* fulfiller = nullptr;
  std::suspend_never initial_suspend() noexcept { return {}; }
  std::suspend_always final_suspend() noexcept { return {}; }
  Co<T> get_return_object() {
    auto handle = std::coroutine_handle<Self>::from_promise(static_cast<Self&>(*this));
    this->frame = handle;
    return Co<T>(kj::newAdaptedPromise<T, Adapter<T>>(handle));
  }
  void unhandled_exception() {
    try {
      throw;
    } catch (const Error& e) {
      fulfiller->reject(toKj(e));  // keeps hint and status across RPC
    } catch (...) {
      KJ_IF_MAYBE (e,
                   kj::runCatchingExceptions([p = std::current_exception()] { std::rethrow_exception(p); })) {
        fulfiller->reject(kj::mv(*e));
      }
    }
  }
  template <typename U>
  Awaiter<U> await_transform(kj::Promise<U>&& p) {
    return Awaiter<U>(kj::mv(p), *this);
  }
  template <typename U>
  Awaiter<U> await_transform(kj::Promise<U>& p) {
    return Awaiter<U>(kj::mv(p), *this);
  }
  template <typename U>
  auto await_transform(capnp::RemotePromise<U>&& p) {
    return Awaiter<capnp::Response<U>>(kj::mv(p), *this);
  }
};

template <typename T>
struct CoPromise : PromiseBase<T, CoPromise<T>> {
  void return_value(T v) { this->fulfiller->fulfill(kj::mv(v)); }
};
template <>
struct CoPromise<void> : PromiseBase<void, CoPromise<void>> {
  void return_void() { fulfiller->fulfill(); }
};
}  // namespace cove::co

template <typename T, typename... A>
struct std::coroutine_traits<cove::co::Co<T>, A...> {
  using promise_type = cove::co::CoPromise<T>;
};
