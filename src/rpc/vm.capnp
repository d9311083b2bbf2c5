@0xc18e73a2b0d95f46;
# cove-vm, the supervisor of one instance: how coved starts it and talks to it, and what it serves to the
# clients that coved introduced.

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("cove::rpc");
using import "target.capnp".Target;
using import "target.capnp".ByteSink;
using import "agent.capnp".GuestUser;

struct VmConfig {
  # A flat message on descriptor 3 of cove-vm. Beside it: 4 the instance's directory, 5 the image's directory,
  # 6 the readiness pipe (an "R" when the socket "vm.sock" listens, "E" and a reason otherwise). With `fromSaved`
  # 7 the memory, 8 the devices' state and 9 the disk of a saved machine; with `resume` 10 the key of its state.
  name @0 :Text;
  cpus @1 :UInt16;
  memoryMiB @2 :UInt32;
  ephemeral @3 :Bool;           # ends when the connection that holds its lease ends; disk writes need no flush
  user @4 :GuestUser;
  authorizedKeys @5 :List(Text);
  accelerator @6 :Text;         # "tcg" or "kvm", as probed
  qemu @7 :Text;                # path of the QEMU binary
  kernelArguments @8 :Text;     # of the image's recipe
  save @9 :Bool;                # saved when it is ready: "memory", "devices" and "disk" in its directory; then it ends
  fromSaved @10 :Bool;          # begins where a machine stood that was saved
  id @11 :Text;                 # of the instance; empty: of one that is saved for others
  resume @12 :Bool;             # goes on from "suspended" in its directory
  waits @14 :Bool;              # for its first command: what that will need is made warm
  kind @13 :Text;               # what must be the same on the host of a resume as it was when it was suspended
}

enum VmState {
  starting @0; up @1; ready @2; stopping @3; stopped @4; failed @5;
  paused @6;                    # the disk is full on the host; goes on when there is room
  suspended @7;                 # has ended, and goes on from its state
}

struct VmStatus {
  serial @0 :UInt64;            # grows with every change
  state @1 :VmState;
  reason @2 :Text;              # of failed and paused; else what the machine goes on without
  degraded @3 :Bool;
  failedUnits @4 :List(Text);
  sshHostKey @5 :Text;          # "" until it is known
  qemuPid @6 :Int32;
}

interface Socket {}             # carries a descriptor (getFd)

interface Supervisor {
  # For coved, on vm.sock, whose peer must have the supervisor's own uid.
  status @0 (after :UInt64) -> (status :VmStatus);
  # Answered when status.serial > after; 0: at once.
  introduce @1 (lease :Bool) -> (socket :Socket);
  # A connected socket whose other end serves a Session. The connection of a lease ends an ephemeral machine.
  stop @2 (force :Bool, timeoutMs :UInt64);
  # Answered when the machine has ended. Orderly first unless `force`; then QMP; then SIGKILL.
  keep @3 ();
  # An ephemeral machine becomes a lasting one: its lease no longer ends it.
  suspend @4 (key :Socket);
  # Saves its state as "suspended" in its directory, encrypted with the key (machine/state_file.h) in that memory
  # file, and ends. An error: it goes on.
  snapshot @5 (key :Socket, directory :Text);
  # Saves its state and its disk, and goes on: `directory`, below its own, gets "suspended" and "layers".
}

interface Session {
  target @0 (early :Bool) -> (target :Target);
  # When the machine is ready, or up; an error with its reason once it cannot become so.
  console @1 (output :ByteSink) -> (input :ByteSink);
  # The serial console. Output begins with what the log remembers (at most 64 KiB).
  status @2 (after :UInt64) -> (status :VmStatus);
}
