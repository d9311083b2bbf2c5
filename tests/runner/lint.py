"""Format, layers, clang-tidy."""

import concurrent.futures
import json
import os
import re
import shlex
import subprocess
import tempfile
from pathlib import Path

from build import ROOT, build

LAYERS = ROOT / "build/layers"


def sources(*endings: str) -> list[str]:
    listed = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard", "src", "fuzz"],
                            cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\n")
    return [f for f in listed if f.endswith(endings) and (ROOT / f).exists()]


def check_format(results):
    status = subprocess.run(["clang-format", "--dry-run", "-Werror", *sources(".cc", ".h")], cwd=ROOT).returncode
    results.add("format", status == 0)


# --- coroutines --------------------------------------------------------------------------------------------

def check_coroutines(results):
    """g++ 12 destroys a lambda, an aggregate in braces, or a temporary of ?:, twice when it is part of a co_await
    expression (rpc/co.h)."""
    lambda_or_choice = re.compile(r"\[[&=\w, ]*\]\s*[({]|\?|\b[A-Z]\w*\{")
    found = []
    for file in sources(".cc", ".h"):
        text = re.sub(r"//[^\n]*", "", (ROOT / file).read_text())
        for match in re.finditer(r"\bco_await\b[^;]*;", text):
            if lambda_or_choice.search(match[0]):
                found.append(f"{file}: {' '.join(match[0].split())[:100]}")
    for place in found:
        print(f"bind it to a local first: {place}")
    results.add("no temporaries that g++ 12 destroys twice", not found)


# --- layers ------------------------------------------------------------------------------------------------

def compile_commands(preset: str) -> list[dict]:
    return json.loads((ROOT / "build" / preset / "compile_commands.json").read_text())


def includes(command: list[str], header: str) -> bool:
    """Whether a source compiled so may include `header`."""
    flags = [f for f in command if f.startswith(("-I", "-std", "-D"))]
    flags += [f for place, f in enumerate(command) if "-isystem" in command[max(0, place - 1):place + 1]]
    return subprocess.run(["c++", *flags, "-fsyntax-only", "-include", header, "-x", "c++", "/dev/null"],
                          capture_output=True).returncode == 0


def check_layers(results):
    """The rule is the build's own; this shows that it holds: an include upward does not compile."""
    order = re.search(r"set\(COVE_LAYERS ([^)]*)\)", (ROOT / "cmake/cove.cmake").read_text())[1].split()
    headers = {}  # a header of each layer that needs nothing else
    for layer in order:
        candidates = sorted((ROOT / "src" / layer).glob("*.h"), key=lambda p: p.stat().st_size)
        headers.update({layer: f"{layer}/{candidates[0].name}"} if candidates else {})
    commands = {}
    for entry in compile_commands("release"):
        parts = Path(entry["file"]).relative_to(ROOT).parts
        if parts[0] == "src" and len(parts) == 3:
            commands.setdefault(parts[1], shlex.split(entry["command"]))
    for place, layer in enumerate(order):
        if layer not in commands or layer not in headers:
            continue
        upward = [headers[above] for above in order[place + 1:] if above in headers]
        results.add(f"layer {layer} sees itself and nothing above it",
                    includes(commands[layer], headers[layer])
                    and not any(includes(commands[layer], header) for header in upward))
    results.add("CMake refuses a layer that needs one above it", refuses_upward_need(order))


def refuses_upward_need(order: list[str]) -> bool:
    with tempfile.TemporaryDirectory() as directory:
        (Path(directory) / "CMakeLists.txt").write_text(
            "cmake_minimum_required(VERSION 3.25)\nproject(upward NONE)\n"
            f"include({ROOT}/cmake/cove.cmake)\ncove_layer({order[0]} NEEDS {order[1]})\n")
        result = subprocess.run(["cmake", "-S", directory, "-B", f"{directory}/build"], capture_output=True, text=True)
    return result.returncode != 0 and f"layer {order[0]} may not include {order[1]}" in \
        " ".join(result.stderr.split())


# --- clang-tidy --------------------------------------------------------------------------------------------

def dependencies(preset: str) -> dict[str, list[Path]]:
    """What each object of a tree was made from, as ninja knows it."""
    listed = subprocess.run(["ninja", "-C", ROOT / "build" / preset, "-t", "deps"], capture_output=True, text=True)
    found, current = {}, None
    for line in listed.stdout.splitlines():
        if line.startswith("    "):
            current.append(ROOT / "build" / preset / line.strip())
        elif ": #deps" in line:
            current = found.setdefault(line.split(": #deps")[0], [])
    return found


def check_tidy(results):
    """Only what changed since it was last found clean: the source, a header of ours, or the rules."""
    if not build(results, "asan"):
        return
    stamps = ROOT / "build/tidy"
    needed = dependencies("asan")
    rules = (ROOT / ".clang-tidy").stat().st_mtime
    pending = []
    for entry in compile_commands("asan"):
        file = Path(entry["file"])
        if not file.is_relative_to(ROOT / "src") or file.name.endswith("_test.cc"):
            continue
        stamp = stamps / file.relative_to(ROOT)
        command = shlex.split(entry["command"])
        output = command[command.index("-o") + 1]
        ours = [p for p in needed.get(output, []) if str(p).startswith(str(ROOT)) and p.exists()]
        newest = max([rules, file.stat().st_mtime, *(p.stat().st_mtime for p in ours)])
        if not stamp.exists() or stamp.stat().st_mtime <= newest:
            pending.append((file, stamp))

    def tidy(item):
        file, stamp = item
        result = subprocess.run(["clang-tidy", "--quiet", "-p", ROOT / "build/asan", file], capture_output=True, text=True)
        if result.returncode == 0:
            stamp.parent.mkdir(parents=True, exist_ok=True)
            stamp.touch()
        return file, result

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for number, (file, result) in enumerate(pool.map(tidy, pending), 1):
            print(f"clang-tidy {number}/{len(pending)} {file.relative_to(ROOT)}", flush=True)
            if result.returncode:
                print(result.stdout)
                results.add(f"clang-tidy {file.relative_to(ROOT)}", False)
    results.add("clang-tidy", not any(name.startswith("clang-tidy") for name in results.failed))
