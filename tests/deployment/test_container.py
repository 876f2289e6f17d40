"""Dockerfile, compose.yaml and the entry point agree with the program and with each other."""

import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from hydrophone import __version__
from hydrophone.cli import build_parser
from hydrophone.config import TABLE, Settings, load_settings
from hydrophone.wire.rest_paths import HEALTH

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
DEFAULTED = re.compile(r"\$\{\w+:-([^}]*)\}")


def instructions(text: str) -> list[tuple[str, str]]:
    """Return the instructions of a Dockerfile with their arguments, comments and line ends removed."""
    lines = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    joined = lines.replace("\\\n", " ")
    return [
        (word, rest.strip())
        for word, _, rest in (line.partition(" ") for line in joined.splitlines() if line)
    ]


ALL = instructions(DOCKERFILE)
LAST_STAGE = ALL[max(place for place, (word, _) in enumerate(ALL) if word == "FROM") :]


def the(word: str) -> str:
    [found] = [rest for name, rest in LAST_STAGE if name == word]
    return found


def environment() -> dict[str, str]:
    pairs = (pair.partition("=") for pair in shlex.split(the("ENV")))
    return {name: value for name, _, value in pairs if name.startswith("HYDROPHONE_")}


def ignored() -> list[str]:
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def test_what_is_copied_is_there_and_not_left_out() -> None:
    copied = [
        source
        for word, rest in ALL
        if word == "COPY" and "--from=" not in rest
        for source in [part for part in rest.split() if not part.startswith("--")][:-1]
    ]
    assert {"requirements.txt", "requirements-dev.txt", "deploy/entrypoint.sh"} <= set(copied)
    assert [source for source in copied if not (ROOT / source).exists()] == []
    assert [source for source in copied if source.split("/")[0] in ignored()] == []


def test_nothing_the_wheel_is_made_of_is_left_out() -> None:
    needed = {"src", "pyproject.toml", "README.md", "LICENSE", "scripts", "docs"}
    assert needed.isdisjoint(ignored())


def test_versions_agree() -> None:
    assert PROJECT["version"] == __version__
    assert f'version="{__version__}"' in the("LABEL")
    assert COMPOSE["services"]["hydrophone"]["image"] == f"hydrophone:{__version__}"


def test_its_python_is_one_we_support_in_both_stages() -> None:
    images = {rest.split()[0] for word, rest in ALL if word == "FROM"}
    [version] = {image.removeprefix("python:").removesuffix("-slim") for image in images}
    assert f"Programming Language :: Python :: {version}" in PROJECT["classifiers"]


def test_the_last_stage_installs_nothing_and_is_nobody_special() -> None:
    ran = " ".join(rest for word, rest in LAST_STAGE if word == "RUN")
    assert not re.search(r"\b(pip|apt|apt-get|uv|npm|curl|gcc)\b", ran)
    assert the("USER") == "hydrophone"
    words = [word for word, _ in LAST_STAGE]
    assert words.index("USER") < words.index("ENTRYPOINT")


def test_what_it_runs_is_a_command_of_ours() -> None:
    assert json.loads(the("ENTRYPOINT")) == ["entrypoint"]
    build_parser().parse_args(json.loads(the("CMD")))


def test_its_variables_are_settings_and_open_the_ports_that_are_exposed() -> None:
    assert environment()
    settings = load_settings(environment=environment()).settings
    assert (settings.api.host, settings.alerts.host) == ("0.0.0.0", "0.0.0.0")
    assert the("EXPOSE").split() == [str(settings.api.port), str(settings.alerts.port)]
    assert str(settings.store.path).startswith("data/")
    assert json.loads(the("VOLUME")) == [f"{the('WORKDIR')}/data"]


def test_its_health_is_asked_where_it_is_told() -> None:
    _, _, command = the("HEALTHCHECK").partition("CMD ")
    python, flag, code = json.loads(command)
    assert (python, flag) == ("python", "-c")
    compile(code, "HEALTHCHECK", "exec")
    assert f"127.0.0.1:{TABLE['api.port'].default}{HEALTH.path}" in code
    assert HEALTH.scope is None


def enter(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Start the container's entry point with settings that the program refuses, so that it ends at once."""
    (folder / "data").mkdir(exist_ok=True)
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return subprocess.run(
        ["sh", ROOT / "deploy/entrypoint.sh", *arguments],
        cwd=folder,
        env={"PATH": path, **environment()},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_first_start_makes_a_token_and_later_ones_keep_it(tmp_path: Path) -> None:
    first = enter(tmp_path, "run", "--api-port", "many")
    token = tmp_path / "data/token"
    assert first.returncode == 2, first.stderr
    assert token.stat().st_mode & 0o077 == 0
    kept = token.read_text(encoding="ascii")
    assert kept.strip()
    assert kept.strip() not in first.stdout + first.stderr
    enter(tmp_path, "run", "--api-port", "many")
    assert token.read_text(encoding="ascii") == kept
    listed = enter(tmp_path, "token", "list", "--json")
    assert [known["scope"] for known in json.loads(listed.stdout)] == ["read"]


def test_other_commands_make_none(tmp_path: Path) -> None:
    assert enter(tmp_path, "--version").stdout == f"hydrophone {__version__}\n"
    assert not (tmp_path / "data/token").exists()


SERVICES: dict[str, Any] = COMPOSE["services"]


def test_compose_runs_the_service_alone_unless_more_is_asked_for() -> None:
    assert [name for name, service in SERVICES.items() if "profiles" not in service] == ["hydrophone"]
    assert SERVICES["mempool-api"]["profiles"] == SERVICES["mempool-db"]["profiles"] == ["mempool"]


@pytest.mark.parametrize("name", SERVICES)
def test_what_a_service_refers_to_is_there(name: str) -> None:
    service = SERVICES[name]
    volumes = [volume.split(":")[0] for volume in service.get("volumes", []) if volume[0] not in "/.$"]
    assert set(volumes) <= set(COMPOSE["volumes"])
    assert set(service.get("depends_on", [])) <= set(SERVICES)


@pytest.mark.parametrize("name", SERVICES)
def test_nothing_is_published_beyond_this_machine(name: str) -> None:
    assert [port for port in SERVICES[name].get("ports", []) if not port.startswith("127.0.0.1:")] == []


@pytest.mark.parametrize("name", SERVICES)
def test_what_ran_runs_again_after_the_machine_was_started_anew(name: str) -> None:
    # An orderly shutdown ends it with 0, which is no failure. Sources: Docker Engine, restart policies.
    assert SERVICES[name]["restart"] == "unless-stopped"


def test_compose_sets_settings_limits_and_time_to_stop() -> None:
    ours = SERVICES["hydrophone"]
    variables = {name: DEFAULTED.sub(r"\1", value) for name, value in ours["environment"].items()}
    settings = load_settings(environment=environment() | variables).settings
    assert [url.split("/")[2] for url in settings.source.urls] == [
        "host.docker.internal:8999",
        "mempool-api:8999",
    ]
    published = {port.rpartition(":")[2] for port in ours["ports"]}
    assert published == {str(settings.api.port), str(settings.alerts.port)}
    assert ours["mem_limit"] == "500m"
    assert int(ours["stop_grace_period"].removesuffix("s")) >= Settings().service.drain_s + 10


def test_the_backend_is_told_of_the_database_beside_it() -> None:
    backend, database = SERVICES["mempool-api"]["environment"], SERVICES["mempool-db"]["environment"]
    assert backend["DATABASE_HOST"] == "mempool-db"
    assert f"wait-for-it.sh {backend['DATABASE_HOST']}:3306" in SERVICES["mempool-api"]["command"]
    for ours, theirs in (("DATABASE", "DATABASE"), ("USERNAME", "USER"), ("PASSWORD", "PASSWORD")):
        assert backend[f"DATABASE_{ours}"] == database[f"MARIADB_{theirs}"]
