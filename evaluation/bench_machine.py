"""What a benchmark ran on, as far as its figures depend on it."""

import os
import platform
import subprocess
import time
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

import psutil


@dataclass(frozen=True, slots=True)
class Machine:
    """Where and when.

    Attributes:
        cpu: its name.
        cores: that we may use.
        memory_gb: in all.
        kernel: of the system.
        python: its version.
        libraries: those whose speed is ours, with versions.
        load: processes that wanted to run before, averaged over 1, 5 and 15 minutes.
        stolen_percent: of a second, what the host gave to others.
        at: when, UTC.
        commit: of the code; empty: unknown.
    """

    cpu: str
    cores: int
    memory_gb: float
    kernel: str
    python: str
    libraries: dict[str, str]
    load: tuple[float, float, float]
    stolen_percent: float
    at: str
    commit: str

    @classmethod
    def here(cls) -> "Machine":
        """Return this one."""
        times = psutil.cpu_times_percent(interval=1.0)
        return cls(
            cpu=_cpu_name(),
            cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
            memory_gb=round(psutil.virtual_memory().total / 2**30, 1),
            kernel=f"{platform.system()} {platform.release()}",
            python=f"{platform.python_implementation()} {platform.python_version()}",
            libraries={
                name: version(name) for name in ("duckdb", "msgspec", "numpy", "websockets", "aiohttp")
            },
            load=os.getloadavg(),
            stolen_percent=float(getattr(times, "steal", 0.0)),
            at=time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
            commit=_commit(),
        )

    def lines(self) -> list[str]:
        """Return it for people."""
        libraries = ", ".join(f"{name} {number}" for name, number in self.libraries.items())
        load = ", ".join(f"{each:.2f}" for each in self.load)
        return [
            f"{self.at}, commit {self.commit or 'unknown'}",
            f"{self.cpu}, {self.cores} cores, {self.memory_gb:g} GB, {self.kernel}",
            f"{self.python}; {libraries}",
            f"load before {load}; {self.stolen_percent:g} % of the processor given to others",
            *(["BUSY: others use this machine, so only ratios mean something"] if self.is_busy else []),
        ]

    @property
    def is_busy(self) -> bool:
        """Whether others take a noticeable share."""
        return self.load[0] > self.cores / 4 or self.stolen_percent > 2

    def as_json(self) -> dict[str, object]:
        """Return it for programs."""
        return asdict(self)


def _cpu_name() -> str:
    table = Path("/proc/cpuinfo")
    if table.exists():
        for line in table.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _commit() -> str:
    git = ("git", "-C", str(Path(__file__).parent))
    try:
        asked = [
            subprocess.run([*git, *words], capture_output=True, text=True, check=True).stdout.strip()
            for words in (("rev-parse", "--short", "HEAD"), ("status", "--porcelain", "--", "src"))
        ]
    except (OSError, subprocess.CalledProcessError):
        return ""
    return asked[0] + (" (changed)" if asked[1] else "")
