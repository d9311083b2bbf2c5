#include "agent/reseed.h"

#include <cstring>
#include <linux/random.h>
#include <sys/ioctl.h>
#include <vector>

#include "base/error.h"

namespace cove::agent {

void reseed(const Fd& random, std::span<const std::byte> seed) {
  if (seed.size() < kSeedBytes) throw Error("a machine that starts from a saved one needs a seed");
  // rand_pool_info of linux/random.h: how many bits to believe in, how many bytes, and these.
  const int header[] = {static_cast<int>(seed.size() * 8), static_cast<int>(seed.size())};
  std::vector<char> pool(sizeof header + seed.size());
  std::memcpy(pool.data(), header, sizeof header);
  std::memcpy(pool.data() + sizeof header, seed.data(), seed.size());
  check(::ioctl(random.get(), RNDADDENTROPY, pool.data()), "seed", "the kernel's random numbers");
  check(::ioctl(random.get(), RNDRESEEDCRNG), "seed", "the kernel's random numbers");
}

}  // namespace cove::agent
