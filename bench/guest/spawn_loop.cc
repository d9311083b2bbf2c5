// spawn-loop COUNT PROGRAM: fork, exec and wait, COUNT times; prints how many nanoseconds each took.
//
// The floor of a command in a guest: nobody starts PROGRAM there with less.
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <sys/wait.h>
#include <unistd.h>

namespace {
long long nowNs() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1'000'000'000LL + now.tv_nsec;
}
}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  for (int left = std::atoi(argv[1]); left > 0; --left) {
    long long start = nowNs();
    pid_t child = ::fork();
    if (child == 0) {
      ::execl(argv[2], argv[2], nullptr);
      ::_exit(127);
    }
    int status = 0;
    if (::waitpid(child, &status, 0) != child || status != 0) return 1;
    std::printf("%lld\n", nowNs() - start);
  }
  return 0;
}
