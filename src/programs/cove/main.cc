// cove: the command line.
#include "cove/dispatch.h"

int main(int argc, char** argv) {
  // argc may be 0: whoever executes us decides.
  return cove::cli::runCove({argv + (argc > 0), argv + argc});
}
