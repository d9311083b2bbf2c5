@0xa3c1f1e9d4b60721;
# A Target: a place where commands run and files live. The agent in a guest serves it; so does a process for
# the machine that it runs on (target/local.h). Every call is checked by its receiver; every size is bounded
# (rpc/limits.h). Errors are those of rpc/error.h.

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("cove::rpc");

interface ByteSink {
  # One direction of a byte stream. The sender numbers bytes; the answer to write() is the receiver's
  # acknowledgement, and the sender keeps at most kStreamWindow bytes unacknowledged. So a receiver that stops
  # answering stops its stream and no other.

  write @0 (offset :UInt64, data :Data);
  # `offset`: bytes of the stream before these. Bytes that arrived before (a re-attached sender repeats from
  # what was acknowledged) are skipped; a gap is an error. At most kStreamChunk bytes.

  end @1 (size :UInt64);
  # End of file after `size` bytes in all. Answered when everything was taken.
}

struct Terminal {
  rows @0 :UInt16;
  columns @1 :UInt16;
  type @2 :Text;       # TERM
}

struct Command {
  argv @0 :List(Text);        # empty: the user's login shell
  environment @1 :List(Text); # KEY=VALUE, added to what the user's login would have
  user @2 :Text;              # name or number; empty: the user that the Target's server runs as
  workdir @3 :Text;           # absolute; empty: the user's home, / where it is missing
  timeoutMs @4 :UInt64;       # 0: none. Then SIGTERM, 5 s later SIGKILL, to all of its processes
  union {
    pipes @5 :Void;           # stdin, stdout and stderr are separate
    terminal @6 :Terminal;    # one pty; all output on stdout
  }
  noStdin @7 :Bool;           # /dev/null
}

struct ExitStatus {
  union {
    code @0 :UInt8;
    signal @1 :UInt8;
    timedOut @2 :Void;
    lost @3 :Text;            # the agent died or the machine ended; the reason
    notStarted @4 :NotStarted;
  }
}

struct NotStarted {
  found @0 :Bool;             # false: 127, true: 126 (exists, cannot be executed)
  reason @1 :Text;
}

interface Process {
  wait @0 () -> (status :ExitStatus);
  # After the command and all output that its sinks will get.
  signal @1 (number :UInt8);       # to the process group in the foreground of its terminal, or the command's
  resize @2 (rows :UInt16, columns :UInt16);
}

struct ProcessInfo {
  id @0 :UInt64;
  argv @1 :List(Text);
  user @2 :Text;
  startedMs @3 :UInt64;       # since the epoch, the Target's clock
  terminal @4 :Bool;
  attached @5 :Bool;
  finished @6 :Bool;          # has ended; its output or status was not fetched yet
}

struct Attributes {
  mode @0 :UInt16;            # permission bits, setuid and sticky included
  uid @1 :UInt32;
  gid @2 :UInt32;
  modifiedNs @3 :Int64;       # since the epoch
}

struct FileInfo {
  enum Kind { file @0; directory @1; symlink @2; other @3; }
  name @0 :Text;
  kind @1 :Kind;
  size @2 :UInt64;
  attributes @3 :Attributes;
  linkTarget @4 :Text;
}

interface TreeSink {
  # Receives a tree, parents before children. Paths are relative to the tree's root, "" for the root itself;
  # the receiver refuses "..", ".", empty components, absolute paths and NUL, and creates everything below one
  # directory descriptor without following symlinks.
  directory @0 (path :Text, attributes :Attributes);
  file @1 (path :Text, size :UInt64, attributes :Attributes) -> (content :ByteSink);
  symlink @2 (path :Text, target :Text, attributes :Attributes);
  done @3 ();
  # All of it is there, with its attributes. Without it the receiver keeps what came, named as incomplete.
  leftOut @4 (path :Text);
  # An entry that is no file, directory or symlink: a FIFO, socket or device. There is nothing to make.
}

interface Target {
  exec @0 (command :Command, stdout :ByteSink, stderr :ByteSink)
       -> (process :Process, stdin :ByteSink, id :UInt64);
  attach @1 (id :UInt64, stdout :ByteSink, stderr :ByteSink)
       -> (process :Process, stdin :ByteSink, stdinOffset :UInt64, terminal :Bool);
  # Takes a running command over: what its last client did not acknowledge (at most kReplayRing bytes a
  # stream) is sent again, each write() with its offset in the stream.
  processes @2 () -> (processes :List(ProcessInfo));

  stat @3 (path :Text, follow :Bool) -> (info :FileInfo);
  list @4 (path :Text) -> (entries :List(FileInfo));
  read @5 (path :Text, sink :ByteSink);
  # Answered when the sink has taken the whole file.
  write @6 (path :Text, attributes :Attributes, setOwner :Bool) -> (content :ByteSink);
  # Atomically: a temporary file beside it, flushed and renamed at end(), removed when dropped before.
  remove @7 (path :Text, recursive :Bool);
  readTree @8 (path :Text, sink :TreeSink);
  writeTree @9 (path :Text, intoDirectory :Text, setOwner :Bool) -> (sink :TreeSink);
  # The tree's root becomes `path`; where that is an existing directory, `path`/`intoDirectory`.

  connect @10 (address :Text, toClient :ByteSink) -> (toTarget :ByteSink);
  # "tcp:HOST:PORT" (numeric host, [v6]) or "unix:/path", as seen from the Target. end() half-closes.
}
