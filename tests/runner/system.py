"""The system tests: as a plain user, who is made where we are root, and a smaller set as root."""

import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path

from build import REPORTS, ROOT, build

USER = "cove-test"
NOTHING_SELECTED = 5  # pytest's exit status
PYTEST = ["/usr/bin/python3", "-B", "-m", "pytest", "-p", "no:cacheprovider", "-v", "-ra", "--timeout-method=thread"]


def test_user() -> pwd.struct_passwd:
    """The user that the tests run as, with a home and sub-ids; made when there is none."""
    try:
        user = pwd.getpwnam(USER)
    except KeyError:
        subprocess.run(["useradd", "--create-home", "--shell", "/bin/bash", USER], check=True)
        user = pwd.getpwnam(USER)
    for option, name in (("--add-subuids", "/etc/subuid"), ("--add-subgids", "/etc/subgid")):
        lines = Path(name).read_text().splitlines() if Path(name).exists() else []
        if not any(line.startswith(f"{USER}:") for line in lines):
            first = max([100_000, *(sum(map(int, line.split(":")[1:3])) for line in lines)])
            subprocess.run(["usermod", option, f"{first}-{first + 65535}", USER], check=True)
    return user


def pytest(results, prefix: str, arguments: list[str], directory: Path, become: list[str], home: str, last: Path):
    """Runs pytest on the copy in `directory`. `last`: keeps the image, for runs without a network."""
    report = directory / "report" / "system.xml"
    report.unlink(missing_ok=True)
    environment = {**os.environ, "COVE_BIN": str(directory / "bin"), "COVE_TEST_AREA": home, "HOME": home,
                   "COVE_TEST_LAST": str(last), "PYTHONPATH": "", "TMPDIR": home}
    for variable in ("XDG_RUNTIME_DIR", "COVE_HOME", "SUDO_USER", "SSH_AUTH_SOCK"):
        environment.pop(variable, None)
    status = subprocess.run([*become, *PYTEST, f"--junitxml={report}", "-o", f"junit_suite_name={prefix}",
                             *arguments], cwd=directory / "tests", env=environment, stdin=subprocess.DEVNULL).returncode
    if status == NOTHING_SELECTED and "smoke" in arguments and len(arguments) > 2:
        return  # what was asked for has none of those that run as root too
    kept = REPORTS / f"{prefix}.xml"
    kept.unlink(missing_ok=True)
    if report.exists():
        shutil.copy(report, kept)
    results.add_junit(prefix, kept, status)


def system(results, arguments: list[str]):
    if not build(results, "release"):
        return
    REPORTS.mkdir(parents=True, exist_ok=True)
    # Installed elsewhere: our user may not be allowed into the source tree, and programs find each other so.
    with tempfile.TemporaryDirectory(prefix="cove-system-") as temporary:
        directory = Path(temporary)
        directory.chmod(0o755)
        shutil.copytree(ROOT / "build/release/bin", directory / "bin")
        shutil.copytree(ROOT / "tests", directory / "tests", ignore=shutil.ignore_patterns("runner", "__pycache__"))
        shutil.copytree(ROOT / "bench", directory / "bench", ignore=shutil.ignore_patterns("guest", "__pycache__"))
        shutil.copy(ROOT / "build/release/bench/draw-init", directory / "bench")  # where it is beside bin
        (directory / "report").mkdir()
        if os.getuid() != 0:
            pytest(results, "system", arguments, directory, [], str(Path.home()), ROOT / "build/test-image")
            return
        user = test_user()
        os.chown(directory / "report", user.pw_uid, user.pw_gid)
        become = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--init-groups"]
        pytest(results, "system", arguments, directory, become, user.pw_dir, Path(user.pw_dir) / "test-image")
        with tempfile.TemporaryDirectory(prefix="cove-root-", dir="/var/tmp") as home:
            pytest(results, "system-as-root", ["-m", "smoke", *arguments], directory, [], home,
                   ROOT / "build/test-image")
