"""./test: every kind of test in the order of what fails fastest, and one sum."""

import sys
import time

import build
import lint
import system
from results import Results

STYLE = [lambda r, _: lint.check_format(r),
         lambda r, _: lint.check_coroutines(r),
         lambda r, _: build.build(r, "release") and lint.check_layers(r)]
KINDS = {
    "style": STYLE,
    "lint": [*STYLE, lambda r, _: lint.check_tidy(r)],
    "unit": [lambda r, _, p=p: build.unit(r, p) for p in ("release", "asan", "tsan")],
    "fuzz": [lambda r, _: build.fuzz(r)],
    "system": [lambda r, arguments: system.system(r, arguments)],
}


def main(arguments: list[str]) -> int:
    place = arguments.index("system") + 1 if "system" in arguments else len(arguments)
    kinds, rest = arguments[:place], arguments[place:]
    if unknown := [k for k in kinds if k not in KINDS]:
        print(f"test: unknown selection {unknown[0]!r}; there are: {', '.join(KINDS)}", file=sys.stderr)
        return 2
    build.REPORTS.mkdir(parents=True, exist_ok=True)
    results = Results()
    for kind in kinds or [k for k in KINDS if k != "style"]:  # lint has it
        begun = time.monotonic()
        for step in KINDS[kind]:
            step(results, rest)
        print(f"== {kind}: {time.monotonic() - begun:.0f} s", flush=True)
    results.report()
    return 1 if results.failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
