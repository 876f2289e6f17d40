"""deploy/hydrophone.service says what the program does, and systemd understands it."""

import re
import shlex
import shutil
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

from hydrophone.cli import build_parser
from hydrophone.config import Settings, load_settings
from hydrophone.errors import ExitCode

ROOT = Path(__file__).parents[2]
UNIT = ROOT / "deploy/hydrophone.service"
OTHER_FILES = 768
"""Descriptors that are no client's: `web/loopback.py`."""


@pytest.fixture(scope="module")
def unit() -> dict[str, list[str]]:
    found = defaultdict(list)
    for line in UNIT.read_text(encoding="utf-8").splitlines():
        key, is_setting, value = line.partition("=")
        if is_setting and not line.startswith("#"):
            found[key].append(value)
    return found


def seconds(text: str) -> int:
    match = re.fullmatch(r"(\d+)(s|min)?", text)
    assert match is not None, text
    return int(match[1]) * (60 if match[2] == "min" else 1)


def test_what_it_starts_is_a_command_of_ours(unit: dict[str, list[str]]) -> None:
    program, *arguments = shlex.split(unit["ExecStart"][0])
    assert Path(program).name == "hydrophone"
    parsed = build_parser().parse_args(arguments)
    assert parsed.config == Path("/etc/hydrophone/hydrophone.toml")


def test_the_settings_beside_it_are_settings_and_name_a_source(unit: dict[str, list[str]]) -> None:
    settings = load_settings(file=ROOT / "deploy/hydrophone.toml", environment={}).settings
    assert settings.source.urls
    assert not settings.store.path.is_absolute()
    assert unit["WorkingDirectory"] == [f"/var/lib/{unit['StateDirectory'][0]}"]


def test_it_waits_for_ready_and_signs_of_life(unit: dict[str, list[str]]) -> None:
    assert unit["Type"] == ["notify"]
    assert seconds(unit["WatchdogSec"][0]) >= 10
    assert seconds(unit["TimeoutStartSec"][0]) > seconds(unit["WatchdogSec"][0])


def test_a_stop_may_take_as_long_as_it_does(unit: dict[str, list[str]]) -> None:
    assert seconds(unit["TimeoutStopSec"][0]) >= Settings().service.drain_s + 10


def test_only_a_mistake_in_the_settings_is_not_tried_again(unit: dict[str, list[str]]) -> None:
    assert unit["Restart"] == ["on-failure"]
    assert unit["RestartPreventExitStatus"] == [str(int(ExitCode.CONFIGURATION))]
    within_s, often = seconds(unit["StartLimitIntervalSec"][0]), int(unit["StartLimitBurst"][0])
    assert often * seconds(unit["RestartSec"][0]) < within_s


def test_it_may_open_as_many_files_as_it_has_clients(unit: dict[str, list[str]]) -> None:
    assert int(unit["LimitNOFILE"][0]) >= Settings().alerts.max_clients + OTHER_FILES


def test_it_has_no_more_memory_than_is_promised(unit: dict[str, list[str]]) -> None:
    assert unit["MemoryMax"] == ["500M"]


def test_it_reaches_its_manager_and_the_network_and_nothing_else(unit: dict[str, list[str]]) -> None:
    assert unit["RestrictAddressFamilies"] == ["AF_UNIX AF_INET AF_INET6"]
    assert unit["User"] == ["hydrophone"]
    assert unit["CapabilityBoundingSet"] == [""]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_systemd_understands_it_and_finds_little_exposed(tmp_path: Path) -> None:
    """The program and its user need not be there: others that are stand in for them."""
    text = UNIT.read_text(encoding="utf-8")
    text = re.sub(r"^ExecStart=\S+", f"ExecStart={sys.executable}", text, flags=re.MULTILINE)
    copy = tmp_path / "hydrophone.service"
    copy.write_text(re.sub(r"^(User|Group)=.*", r"\1=daemon", text, flags=re.MULTILINE), encoding="utf-8")
    verified = subprocess.run(
        ["systemd-analyze", "verify", copy], capture_output=True, text=True, check=False
    )
    said = [line for line in verified.stderr.splitlines() if "hydrophone.service" in line]
    assert (verified.returncode, said) == (0, []), verified.stderr
    judged = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=15", copy],
        capture_output=True,
        text=True,
        check=False,
    )
    assert judged.returncode == 0, judged.stdout[-500:]
