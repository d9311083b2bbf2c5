"""Building and running the unit tests, by preset."""

import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
REPORTS = ROOT / "build" / "reports"


def build(results, preset: str) -> bool:
    werror = os.environ.get("COVE_WERROR", "OFF")
    for command in (["cmake", "--preset", preset, "-DCOVE_TESTS=ON", f"-DCOVE_WERROR={werror}"],
                    ["cmake", "--build", "--preset", preset]):
        if subprocess.run(command, cwd=ROOT).returncode:
            results.add(f"build {preset}", False)
            return False
    return True


def unit(results, preset: str):
    if not build(results, preset):
        return
    report = REPORTS / f"unit-{preset}.xml"
    report.unlink(missing_ok=True)
    status = subprocess.run(
        ["ctest", "--test-dir", f"build/{preset}", "--output-junit", report, "--output-on-failure", "--progress",
         "--parallel", str(os.cpu_count()), "--no-tests=error"], cwd=ROOT,
        # TSan's reports name their cause only when it remembers enough.
        env={**os.environ, "TSAN_OPTIONS": "history_size=7:halt_on_error=1",
             "UBSAN_OPTIONS": "print_stacktrace=1"}).returncode
    results.add_junit(preset, report, status)


def fuzz(results, seconds=5):
    """Every target over its corpus and a few seconds beyond."""
    if not build(results, "asan"):
        return
    targets = sorted(p for p in (ROOT / "build/asan/fuzz").glob("*") if os.access(p, os.X_OK) and p.is_file())
    for target in targets:
        corpus = ROOT / "fuzz/corpus" / target.name
        found = ROOT / "build/fuzz" / target.name  # what it learns stays out of the source tree
        found.mkdir(parents=True, exist_ok=True)
        log = found.with_suffix(".log")
        with open(log, "wb") as out:
            status = subprocess.run(
                [target, f"-max_total_time={seconds}", "-timeout=20", "-rss_limit_mb=2048",
                 f"-artifact_prefix={found}-", found, *([corpus] if corpus.is_dir() else [])],
                stdout=out, stderr=out).returncode
        if status:
            print(log.read_text(errors="replace")[-8000:])
        results.add(f"fuzz {target.name}", status == 0 and corpus.is_dir())
    if not targets:
        results.add("fuzz targets are there", False)
