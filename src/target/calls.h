// The calls of a Target's methods, for the functions that serve them outside of the server's class.
#pragma once
#include <capnp/capability.h>

#include "rpc/target.capnp.h"

namespace cove {

using ExecCall = capnp::CallContext<rpc::Target::ExecParams, rpc::Target::ExecResults>;
using AttachCall = capnp::CallContext<rpc::Target::AttachParams, rpc::Target::AttachResults>;
using ProcessesCall = capnp::CallContext<rpc::Target::ProcessesParams, rpc::Target::ProcessesResults>;
using StatCall = capnp::CallContext<rpc::Target::StatParams, rpc::Target::StatResults>;
using ListCall = capnp::CallContext<rpc::Target::ListParams, rpc::Target::ListResults>;
using ReadCall = capnp::CallContext<rpc::Target::ReadParams, rpc::Target::ReadResults>;
using WriteCall = capnp::CallContext<rpc::Target::WriteParams, rpc::Target::WriteResults>;
using RemoveCall = capnp::CallContext<rpc::Target::RemoveParams, rpc::Target::RemoveResults>;
using ReadTreeCall = capnp::CallContext<rpc::Target::ReadTreeParams, rpc::Target::ReadTreeResults>;
using WriteTreeCall = capnp::CallContext<rpc::Target::WriteTreeParams, rpc::Target::WriteTreeResults>;
using ConnectCall = capnp::CallContext<rpc::Target::ConnectParams, rpc::Target::ConnectResults>;

}  // namespace cove
