import asyncio
import json
from pathlib import Path

import pytest

from hydrophone.cli import main
from hydrophone.domain.access import Scope, digest_of_token
from hydrophone.errors import ExitCode
from hydrophone.store.token_file import TokenFile
from hydrophone.web.rest import Question, Route
from hydrophone.wire import rest_paths as paths
from tests.backends import running
from tests.unit.cli.test_cli import run_aside
from tests.unit.web.asking import make_access, make_server

Capture = pytest.CaptureFixture[str]
FILE = Path("data/tokens.json")


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Start in an empty folder."""
    monkeypatch.chdir(tmp_path)


def create(capsys: Capture, *arguments: str) -> str:
    assert main(["token", "create", *arguments]) == 0
    return capsys.readouterr().out.strip()


def test_a_token_is_shown_once_on_a_line_of_its_own(capsys: Capture) -> None:
    text = create(capsys, "--name", "desk")
    [token] = TokenFile(FILE).load()
    assert (token.name, token.scope, token.expires_at) == ("desk", Scope.READ, None)
    assert token.digest == digest_of_token(text)
    assert text not in FILE.read_text()
    assert main(["token", "list"]) == 0
    listed = capsys.readouterr().out
    assert listed.split()[:3] == [token.token_id, "read", "good"]
    assert text not in listed


def test_for_programs_it_is_json(capsys: Capture) -> None:
    made = json.loads(create(capsys, "--scope", "admin", "--days", "0.5", "--json"))
    assert made["scope"] == "admin"
    assert made["token"].startswith("hydrophone_")
    assert main(["token", "list", "--json"]) == 0
    [listed] = json.loads(capsys.readouterr().out)
    assert listed == {key: value for key, value in made.items() if key != "token"}
    assert listed["expires_at"] > listed["created_at"]


def test_a_revoked_token_is_over(capsys: Capture) -> None:
    create(capsys)
    [token] = TokenFile(FILE).load()
    assert main(["token", "revoke", token.token_id]) == 0
    capsys.readouterr()
    assert main(["token", "list"]) == 0
    assert capsys.readouterr().out.split()[2] == "over"


def test_without_tokens_it_says_so(capsys: Capture) -> None:
    assert main(["token", "list"]) == 0
    assert capsys.readouterr().out == "there are no tokens\n"


@pytest.mark.parametrize(
    "arguments",
    [("create", "--days", "0"), ("create", "--days", "nan"), ("create", "--name", "a\nb"), ("revoke", "x")],
)
def test_what_cannot_be_is_exit_2(capsys: Capture, arguments: tuple[str, ...]) -> None:
    assert main(["token", *arguments]) == ExitCode.CONFIGURATION
    assert capsys.readouterr().err.startswith("hydrophone: ")


@pytest.mark.parametrize("flag", ["--api-host=0.0.0.0", "--access-require-tokens=true"])
def test_an_open_bind_without_tokens_is_exit_2(capsys: Capture, flag: str) -> None:
    arguments = ["run", "--source", "ws://localhost:1", "--alerts-port", "0", "--api-port", "0", flag]
    assert main(arguments) == ExitCode.CONFIGURATION
    assert "hydrophone token create" in capsys.readouterr().err
    assert main(["config", "check", flag]) == ExitCode.CONFIGURATION


async def test_commands_ask_a_guarded_service_by_the_token_in_a_file(capsys: Capture) -> None:
    async def report(_: Question) -> object:
        return {"memory_mb": 61.5, "predictions": {"total": 3, "pending": 2}}

    text = create(capsys)
    access = make_access(TokenFile(FILE).load(), is_open=False)
    server = make_server([Route(paths.STATUS, report)], access=access)
    async with running(server.run):
        port = str(server.port)
        assert await run_aside(main, ["status", "--api-port", port]) == ExitCode.CONFIGURATION
        assert "access.token_file" in capsys.readouterr().err
        await asyncio.to_thread(Path("token").write_text, text + "\n")
        arguments = ["status", "--api-port", port, "--access-token-file", "token", "--json"]
        assert await run_aside(main, arguments) == 0
        assert json.loads(capsys.readouterr().out)["predictions"]["total"] == 3
        assert await run_aside(main, [*arguments[:-2], "nowhere"]) == ExitCode.CONFIGURATION


def test_with_logs_for_machines_a_failure_is_one_too(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOG_FORMAT", "json")
    assert main(["config", "check", "--access-require-tokens", "on"]) == ExitCode.CONFIGURATION
    said = json.loads(capsys.readouterr().err)
    assert (said["event"], said["level"], said["exit_code"]) == ("failed", "error", 2)
    assert "there is no token" in said["error"]


def test_with_logs_for_machines_a_bug_is_one_too(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TokenFile, "load", lambda _self: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        main(["token", "list"])
    monkeypatch.setenv("LOG_FORMAT", "json")
    assert main(["token", "list"]) == ExitCode.BUG
    said = json.loads(capsys.readouterr().err)
    assert (said["event"], said["level"], said["exit_code"]) == ("bug", "error", 1)
    assert "ZeroDivisionError" in said["exception"]
