"""Counts of every test that ran, whatever ran it."""

import dataclasses
import xml.etree.ElementTree as xml
from pathlib import Path


@dataclasses.dataclass
class Results:
    passed: int = 0
    failed: list[str] = dataclasses.field(default_factory=list)
    skipped: list[tuple[str, str]] = dataclasses.field(default_factory=list)  # name and reason

    def add(self, name: str, ok: bool):
        """A test of one's own."""
        print(f"{'ok  ' if ok else 'FAIL'} {name}", flush=True)
        if ok:
            self.passed += 1
        else:
            self.failed.append(name)

    def add_junit(self, prefix: str, path: Path, status: int):
        """What ctest or pytest wrote. A runner that failed without naming a test, or ran none, is a failure."""
        count = failures = 0
        for case in xml.parse(path).getroot().iter("testcase") if path.exists() else []:
            name = f"{prefix}: {case.get('classname', '')}.{case.get('name')}"
            count += 1
            skip = case.find("skipped")
            if case.find("failure") is not None or case.find("error") is not None:
                failures += 1
                self.failed.append(name)
            elif skip is not None or case.get("status") in ("notrun", "disabled"):
                self.skipped.append((name, (skip.get("message") if skip is not None else None) or "no reason given"))
            else:
                self.passed += 1
        if count == 0 or (status != 0 and failures == 0):
            self.failed.append(f"{prefix}: ended with status {status} after {count} tests")

    def report(self):
        for name, reason in self.skipped:
            print(f"skipped: {name}: {reason}")
        for name in self.failed:
            print(f"failed: {name}")
        skipped = f", {len(self.skipped)} skipped" if self.skipped else ""
        print(f"{self.passed} passed, {len(self.failed)} failed{skipped}", flush=True)
