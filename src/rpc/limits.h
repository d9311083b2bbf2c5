// Bounds of everything that crosses a process boundary. A peer that exceeds one is disconnected or gets an
// error; nothing is allocated on a peer's word before it was checked against these.
#pragma once
#include <cstddef>
#include <cstdint>

namespace cove {

inline constexpr size_t kStreamChunk = 256 * 1024;     // bytes of one ByteSink.write
inline constexpr size_t kStreamWindow = 1024 * 1024;   // unacknowledged bytes of one stream
inline constexpr size_t kStreamWrites = 256;           // its unanswered writes, however small
inline constexpr size_t kReplayRing = kStreamWindow;   // what a re-attached client can still get
inline constexpr uint64_t kMessageWords = 256 * 1024;  // of one Cap'n Proto message: 2 MiB
// Of one connection: calls that came and were not answered yet, in words. Beyond it nothing is read from the
// peer. So many streams can stand still in one connection before they stop the others.
inline constexpr uint64_t kUnansweredWords = 64 * 1024 * 1024 / 8;
// Of one connection: calls that the peer has not finished, and answers that it has not taken. Beyond it the
// connection ends: 256 streams with kStreamWrites each, which costs us about 64 MiB.
inline constexpr uint64_t kOpenCalls = 256 * kStreamWrites;
inline constexpr size_t kArguments = 64 * 1024;       // argv and environment entries of one command
inline constexpr size_t kCommandBytes = 1024 * 1024;  // their bytes in all
inline constexpr size_t kPathBytes = 4096;
inline constexpr size_t kDirectoryEntries = 20'000;  // of one list()
inline constexpr size_t kTreeDepth = 256;
inline constexpr size_t kProcesses = 4096;  // running commands of one Target

}  // namespace cove
