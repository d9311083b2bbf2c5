@0xe5b7c4902f6ad138;
# coved, one per user and state directory, on its client socket.

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("cove::rpc");
using import "agent.capnp".GuestUser;
using import "vm.capnp".VmStatus;
using import "vm.capnp".VmState;
using import "vm.capnp".Socket;

const protocol :UInt32 = 1;

struct Hello {
  protocol @0 :UInt32;
  buildId @1 :Text;
  stateDirectory @2 :Text;      # device and inode, "DEV:INO"
  generation @3 :UInt64;        # of the configuration
}

struct InstanceSpec {
  name @0 :Text;                # empty: one is made
  os @1 :Text;                  # "debian:12"
  variant @2 :Text;             # empty: default
  cpus @3 :UInt16;              # 0: min(4, the host's)
  memoryMiB @4 :UInt32;         # 0: default
  diskBytes @5 :UInt64;         # 0: 100 GiB
  ephemeral @6 :Bool;           # `cove run`: deleted when its lease ends
  user @7 :GuestUser;
}

struct InstanceInfo {
  name @0 :Text;
  id @1 :Text;                  # UUID
  created @2 :Bool;             # never started yet
  vm @3 :VmStatus;              # meaningful unless created
  spec @4 :InstanceSpec;        # as resolved
  directory @5 :Text;
  image @6 :Text;               # digest
  createdAt @7 :Int64;          # seconds since the epoch
  accelerator @8 :Text;
  diskUsed @9 :UInt64;          # bytes on the host, shared with others or not
  operation @10 :Text;          # what is under way, or empty
  waiting @11 :Bool;            # for a `cove run`, which takes it
}

struct SnapshotInfo {
  name @0 :Text;
  createdAt @1 :Int64;          # seconds since the epoch
  memory @2 :Bool;
  size @3 :UInt64;              # bytes on the host that nothing else holds
}

struct ImageInfo {
  digest @0 :Text;
  os @1 :Text;
  variant @2 :Text;
  builtAt @3 :Int64;
  size @4 :UInt64;              # bytes on the host
  usedBy @5 :List(Text);        # instances
  savedDisk @6 :UInt64;         # bytes that machines saved of it take on the host
  savedMemory @7 :UInt64;       # and in its memory
}

struct DaemonInfo {
  pid @0 :Int32;
  version @1 :Text;
  buildId @2 :Text;
  stateDirectory @3 :Text;
  socket @4 :Text;
  log @5 :Text;
  startedAt @6 :Int64;
  idleTimeoutMs @7 :UInt64;     # 0: never ends by itself
  idleLeftMs @8 :UInt64;
  clients @9 :UInt32;
  operations @10 :List(Text);
  machines @11 :UInt32;         # running
  waiting @12 :UInt32;          # of those, for a `cove run`
}

interface Progress {
  report @0 (step :Text, done :UInt64, total :UInt64) -> ();
  # total 0: unknown. Dropped when the client is gone; work goes on, except where it says otherwise.
}

interface Daemon {
  hello @0 () -> (hello :Hello);
  state @1 () -> (info :DaemonInfo);
  shutdown @2 ();               # drains operations; machines go on

  create @3 (spec :InstanceSpec, progress :Progress, id :Text) -> (name :Text);
  # Refused when the name is taken. Dropping the call undoes it. `id`: a UUID that its client made for it, who can then
  # delete it without an answer; empty: one is made.
  start @4 (name :Text, progress :Progress, cold :Bool);
  # Answered when the supervisor runs; its Session says what becomes of the machine. Running already: no error. What is
  # suspended goes on; where it is to be `cold` it boots, and its memory is dropped.
  run @5 (spec :InstanceSpec, progress :Progress, cold :Bool, id :Text)
      -> (name :Text, socket :Socket, id :Text);
  # create, start and connect with the lease. Unless `cold`, from a saved machine where there is one; or one that waited,
  # where no name is asked for, whose id is another.
  connect @6 (name :Text) -> (socket :Socket);   # a Session (vm.capnp)
  stop @7 (name :Text, force :Bool, timeoutMs :UInt64);
  delete @8 (name :Text, force :Bool, id :Text);
  # A running one only with force. With an id that one, whatever its name is, and none is no error.
  list @9 () -> (instances :List(InstanceInfo));
  info @10 (name :Text) -> (info :InstanceInfo);
  keep @11 (name :Text);        # an ephemeral instance becomes a lasting one

  images @12 () -> (images :List(ImageInfo));
  imagePull @13 (os :Text, variant :Text, progress :Progress) -> (digest :Text);  # builds anew
  imageDelete @14 (digest :Text);                # refused while in use; with what was saved of it
  prune @15 (all :Bool) -> (freed :UInt64);
  # Removes saved machines that nothing will begin from any more, or all; bytes of disk.

  suspend @16 (name :Text);
  # Answered when its state is on the disk and nothing runs of it. Suspended already: no error.
  clone @17 (name :Text, newName :Text, progress :Progress, id :Text) -> (suspended :Bool);
  # `suspended`: with its memory. Dropping the call undoes it.
  snapshotCreate @18 (name :Text, snapshot :Text);     # with its memory where it runs or is suspended
  snapshotApply @19 (name :Text, snapshot :Text, force :Bool);
  # A running one only with force: it is switched off.
  snapshots @20 (name :Text) -> (snapshots :List(SnapshotInfo));
  snapshotDelete @21 (name :Text, snapshot :Text);
}
