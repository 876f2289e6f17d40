"""Whether the service works under what deploy/hydrophone.service asks for, as far as that needs no systemd.

As root, on Linux, with systemd-analyze, strace, setpriv, unshare and libseccomp, and the program installed
where the unit says: first each system call it makes is held against the filter of the unit, then it runs as
the unprivileged user without capabilities, in a read-only file system, under a filter like the one systemd
would load.
"""

import argparse
import ctypes
import errno
import json
import mmap
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
UNIT = ROOT / "deploy/hydrophone.service"
PATIENCE_S = 60.0
_CALL = re.compile(r"^\d+ +(?:<\.\.\. )?(\w+)[( ]")

_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_MASKED_EQUAL, _EQUAL, _GREATER = 7, 4, 6
_READ, _WRITE, _EXECUTE = 1, 2, 4
_EPERM, _EAFNOSUPPORT = errno.EPERM, errno.EAFNOSUPPORT
_FAMILIES = {"AF_UNIX": socket.AF_UNIX, "AF_INET": socket.AF_INET, "AF_INET6": socket.AF_INET6}
_NAMESPACES = 0x7E020000
"""All of CLONE_NEW*."""


def directives(name: str) -> list[str]:
    """Return the values of a directive of the unit, in order."""
    lines = (line.partition("=") for line in UNIT.read_text(encoding="utf-8").splitlines())
    return [value for key, _, value in lines if key == name]


def allowed_calls() -> set[str]:
    """Return the system calls that the unit lets through."""
    listed = subprocess.run(
        ["systemd-analyze", "syscall-filter", "--no-pager"], capture_output=True, text=True, check=True
    ).stdout
    groups: dict[str, set[str]] = {}
    name = ""
    for line in listed.splitlines():
        if line.startswith("@"):
            name = line.strip()
            groups[name] = set()
        elif name and line.startswith("    ") and not line.strip().startswith("#"):
            groups[name].add(line.strip())

    def expand(words: Sequence[str]) -> set[str]:
        calls: set[str] = set()
        for word in words:
            calls |= expand(sorted(groups[word])) if word.startswith("@") else {word}
        return calls

    calls = set(expand(["@default"]))
    for value in directives("SystemCallFilter"):
        if value.startswith("~"):
            calls -= expand(value[1:].split())
        else:
            calls |= expand(value.split())
    return calls


def confine(calls: set[str]) -> None:
    """Load a filter like that of the unit into this process: what is not allowed fails with EPERM."""
    library = ctypes.CDLL("libseccomp.so.2", use_errno=True)

    class Compare(ctypes.Structure):
        _fields_ = (
            ("arg", ctypes.c_uint),
            ("op", ctypes.c_int),
            ("a", ctypes.c_uint64),
            ("b", ctypes.c_uint64),
        )

    library.seccomp_init.restype = ctypes.c_void_p
    library.seccomp_init.argtypes = [ctypes.c_uint32]
    library.seccomp_rule_add_array.argtypes = [
        ctypes.c_void_p,
        ctypes.c_uint32,
        ctypes.c_int,
        ctypes.c_uint,
        ctypes.POINTER(Compare),
    ]
    library.seccomp_load.argtypes = [ctypes.c_void_p]

    def add(context: int, action: int, call: str, *compares: Compare) -> None:
        number = library.seccomp_syscall_resolve_name(call.encode())
        if number < 0:
            return  # this kernel, or this library, does not know it
        array = (Compare * len(compares))(*compares)
        code = library.seccomp_rule_add_array(context, action, number, len(compares), array)
        assert code == 0, (call, code)

    # systemd loads one filter for each option too; the strictest answer counts.
    context = library.seccomp_init(_ERRNO | _EPERM)
    for call in sorted(calls):
        add(context, _ALLOW, call)
    others = library.seccomp_init(_ALLOW)
    both = _WRITE | _EXECUTE
    add(others, _ERRNO | _EPERM, "mmap", Compare(2, _MASKED_EQUAL, both, both))
    for call in ("mprotect", "pkey_mprotect"):
        add(others, _ERRNO | _EPERM, call, Compare(2, _MASKED_EQUAL, _EXECUTE, _EXECUTE))
    for call in ("clone", "unshare"):
        for bit in (1 << n for n in range(32) if _NAMESPACES >> n & 1):
            add(others, _ERRNO | _EPERM, call, Compare(0, _MASKED_EQUAL, bit, bit))
    families = [_FAMILIES[word] for value in directives("RestrictAddressFamilies") for word in value.split()]
    inner = [family for family in range(max(families) + 1) if family not in families]
    for family in inner:
        add(others, _ERRNO | _EAFNOSUPPORT, "socket", Compare(0, _EQUAL, family, 0))
    add(others, _ERRNO | _EAFNOSUPPORT, "socket", Compare(0, _GREATER, max(families), 0))
    for loaded in (others, context):
        code = library.seccomp_load(loaded)
        assert code == 0, code


def refused(code: int, attempt: Callable[[], object]) -> None:
    """Check that something fails as it should: else what follows would show nothing."""
    found = None
    try:
        attempt()
    except OSError as error:
        found = error.errno
    assert found == code, f"the confinement does not hold: {found} instead of {code}"


def run_confined(arguments: Sequence[str]) -> None:
    """Become the program, confined: what this script calls itself for."""
    calls = set(Path(arguments[0]).read_text(encoding="ascii").split())
    confine(calls)
    refused(_EAFNOSUPPORT, lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW))
    refused(_EPERM, lambda: mmap.mmap(-1, mmap.PAGESIZE, prot=_READ | _WRITE | _EXECUTE))
    refused(_EPERM, lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1)))
    refused(errno.EROFS, lambda: os.utime("/usr"))
    os.execv(arguments[1], list(arguments[1:]))


def session(command: Sequence[str], program: Path, folder: Path, port: int) -> None:
    """Run the demonstration by a command, use what there is to use, and end it."""
    environment = {
        "PATH": os.environ["PATH"],
        "HYDROPHONE_LOG__FORMAT": "json",
        "HYDROPHONE_API__PORT": str(port),
        "HYDROPHONE_ALERTS__PORT": str(port + 1),
        "HYDROPHONE_SIMULATOR__PORT": str(port + 2),
        "HYDROPHONE_STORE__PATH": str(folder / "live.db"),
        "NOTIFY_SOCKET": str(folder / "notify"),
        "WATCHDOG_USEC": "1000000",
    }
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(environment["NOTIFY_SOCKET"])
        Path(environment["NOTIFY_SOCKET"]).chmod(0o666)
        manager.settimeout(PATIENCE_S)
        began = time.monotonic()
        with subprocess.Popen(
            [*command, str(program), "demo"], cwd=folder, env=environment, stderr=subprocess.PIPE, text=True
        ) as demo:
            assert demo.stderr is not None
            for line in demo.stderr:
                if "WHALE ALERT" in line:
                    break
            else:
                raise AssertionError("it ended before a whale came")
            while manager.recv(4096) != b"WATCHDOG=1":
                pass
            print(f"    a whale and a sign of life after {time.monotonic() - began:.1f} s")
            opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            for path in ("", "healthz", "metrics", "api/v1/predictions", "api/v1/accuracy"):
                with opener.open(f"http://127.0.0.1:{port}/{path}", timeout=PATIENCE_S) as response:
                    assert response.status == 200, path
            backup = subprocess.run(
                [program, "db", "backup", folder / "copy.db", "--json"],
                env=environment,
                cwd=folder,
                capture_output=True,
                text=True,
                check=False,
            )
            assert backup.returncode == 0, backup.stderr
            print(f"    a copy up to entry {json.loads(backup.stdout)['record_seq']}")
            pids = subprocess.run(
                ["pgrep", "-f", "--", f"^{program.parent}/python.* {program} demo"],
                capture_output=True,
                text=True,
                check=True,
            ).stdout.split()
            os.kill(int(pids[-1]), 15)
            rest = demo.stderr.read()
            assert demo.wait() == 0, rest[-2000:]
            print("    stopped in order")


def main() -> int:
    """Trace, compare, confine."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=18390, help="and the two after it")
    parser.add_argument("--user", default="hydrophone")
    options = parser.parse_args()
    program = Path(shlex.split(directives("ExecStart")[0])[0])
    calls = allowed_calls()
    with tempfile.TemporaryDirectory(prefix="hydrophone-hardening-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        for inner in ("traced", "confined"):
            (folder / inner).mkdir()
            shutil.chown(folder / inner, options.user, options.user)
        drop = ["setpriv", f"--reuid={options.user}", f"--regid={options.user}", "--clear-groups"]
        drop += ["--no-new-privs", "--bounding-set=-all", "--inh-caps=-all"]

        print("hardening: every system call of a run, held against the filter of the unit")
        session(
            [*drop, "strace", "-f", "-qq", "-o", str(folder / "traced/trace")],
            program,
            folder / "traced",
            options.port,
        )
        trace = folder / "traced/trace"
        used = {
            match[1]
            for line in trace.read_text(errors="replace").splitlines()
            if (match := _CALL.match(line))
        }
        print(f"  {len(used)} kinds of calls, {len(used - calls)} outside the filter: {sorted(used - calls)}")

        print("hardening: a run under user, capabilities, read-only file system and filter")
        (folder / "calls").write_text("\n".join(sorted(calls)), encoding="ascii")
        script = folder / "deploy-check" / "evaluation" / "hardening.py"
        script.parent.mkdir(parents=True)
        shutil.copy(__file__, script)
        (folder / "deploy-check" / "deploy").mkdir()
        shutil.copy(UNIT, folder / "deploy-check" / "deploy")
        own = shlex.quote(str(folder / "confined"))
        mounts = (
            f"mount --bind {own} {own} && mount -o remount,bind,ro / && mount -o remount,bind,rw {own} && "
            "mount -t tmpfs tmpfs /var/tmp && mount -t proc -o subset=pid,hidepid=invisible proc /proc && "
            'exec "$@"'
        )
        python = str(program.with_name("python"))
        session(
            [
                *("unshare", "--mount", "--propagation", "private", "sh", "-c", mounts, "sh", *drop, python),
                *(str(script), "--confined", str(folder / "calls"), python),
            ],
            program,
            folder / "confined",
            options.port,
        )
    return 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--confined"]:
        run_confined(sys.argv[2:])
    sys.exit(main())
