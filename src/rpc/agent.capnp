@0xb6f2d80c5f1e4a93;
# What cove-agent serves over the instance's own virtio port, beside the Target. Its caller is the supervisor.

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("cove::rpc");
using import "target.capnp".Target;

struct GuestUser {
  name @0 :Text;              # [a-z_][a-z0-9_-]{0,31}
  uid @1 :UInt32;             # 0: root, whom nobody needs to make
  gid @2 :UInt32;
  comment @3 :Text;
}

struct GuestConfig {
  hostname @0 :Text;
  user @1 :GuestUser;
  authorizedKeys @2 :List(Text);   # lines of authorized_keys, for the user and for root
  timeNs @3 :Int64;                # the host's clock, since the epoch
  seed @4 :Data;                   # of the host's random bytes, for a machine that stands still since it was saved
  id @5 :Text;                     # of the instance; empty: of a machine that is saved for others
}

interface Agent {
  target @0 () -> (target :Target);
  configure @1 (config :GuestConfig);
  # Once an epoch, before any command. Idempotent. A machine that stands still goes on by it, with other random
  # numbers; where its id was another, it becomes another machine before (machine-id, ssh host keys).
  waitReady @2 () -> (degraded :Bool, failedUnits :List(Text));
  # Answered when the guest's init says that default.target is reached.
  powerOff @3 ();
  # Starts an orderly shutdown; the machine's end is the answer that counts.
  sshHostKey @4 () -> (publicKey :Text);
  # "ssh-ed25519 AAAA…"; the key is made when there is none. Empty where the guest has no ssh server.
  waitStopping @5 ();
  # Answered when the guest's init says that it shuts down, be it to start again.
  standStill @6 ();
  # Before the machine is saved, when it is ready: all of it but the agent stands still from the answer on, until
  # configure() with a seed, or goOn().
  goOn @7 (seed :Data, timeNs :Int64);
  # It was saved, or could not be, and is the same machine still.
  setClock @8 (timeNs :Int64);
  # The host's clock was set, or the host slept.
}
