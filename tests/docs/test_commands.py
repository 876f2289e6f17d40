"""What documents tell people to type is typed, in a folder of its own, beside a service that runs.

What cannot be run stands in `NOT_RUN`, with the reason; that its commands exist is looked at in test_docs.py.
"""

import asyncio
import json
import os
import re
import shlex
import shutil
import signal
import sys
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from itertools import takewhile
from pathlib import Path

import duckdb
import pytest
import pytest_asyncio

from hydrophone.store.schema import open_database
from tests.docs.forked import run_forked
from tests.docs.pages import ALL_BLOCKS, ROOT, USUAL, Block, Stretch, Typed, stretches
from tests.docs.worlds import WORLDS, World, living
from tests.e2e.program import clean_environment

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]

NOT_RUN: Mapping[str, str] = {
    r"(sudo|docker|systemctl|journalctl|timedatectl|ss) ": "asks or changes the machine",
    r"cd /var/lib/hydrophone": "a service that is installed, as root",
    r"make \w+": "installs, or runs this suite: what it would do is printed instead (below)",
    r".*wss://mempool\.space/": "a public host",
    r".*192\.168\.1\.10": "a machine of an example",
    r"hydrophone labels sync binance": "fetches from a public host; a list on loopback is synced elsewhere",
    r".*dashboard/npm\.py run": "a developer's server, and what `make check` runs; that npm knows it: below",
}
"""Patterns of lines that nobody runs here, and why."""

GOES_ON = re.compile(r"(?:\w+=\S+ )?hydrophone (?:run|demo|simulate|record(?! verify))\b(?!.*--duration)")
"""Runs until it is stopped."""
IS_UP = re.compile(r'"event": ?"(?:ready|recording)"|SIMULATED mempool at')
OF_ITS_OWN = {
    "HYDROPHONE_API__PORT": "0",
    "HYDROPHONE_ALERTS__PORT": "0",
    "HYDROPHONE_STORE__PATH": "another.db",
    "HYDROPHONE_LOG__FORMAT": "json",
}
"""What a second service needs beside the one that runs."""
ASSIGNMENT = re.compile(r"[A-Z_]+=").match
STRETCHES = stretches()
PYTHON = [block for block in ALL_BLOCKS if block.language == "python"]
SQL = [block for block in ALL_BLOCKS if block.language == "sql"]
TOML = [block for block in ALL_BLOCKS if block.language == "toml"]


def reason_not_to_run(line: str) -> str | None:
    """Return why a line is not run; None: it is."""
    if line.startswith("curl ") and shutil.which("curl") is None:
        return "there is no curl"
    return next((reason for pattern, reason in NOT_RUN.items() if re.match(pattern, line)), None)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def usual(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with living(tmp_path_factory.mktemp("usual")) as world:
        yield world


def as_here(line: str, world: World) -> str:
    """Return a line with the ports and names of this world."""
    ported = re.sub(r"\b(?:8000|8765|8766|8999)\b", lambda found: world.ports[found[0]], line)
    words = "|".join(rf"(?<!\w){re.escape(word)}\b" for word in world.words)
    return re.sub(words, lambda found: world.words[found[0]], ported)


def environment_of(world: World, **variables: str) -> dict[str, str]:
    return clean_environment(**{**world.variables, **variables})


def program_of(line: str) -> tuple[dict[str, str], list[str]] | None:
    """Return variables and arguments of a line that runs the program and nothing else."""
    words = shlex.split(line, comments=True)
    variables = dict(word.split("=", 1) for word in takewhile(ASSIGNMENT, words))
    name, *arguments = words[len(variables) :]
    return (variables, arguments) if name in ("hydrophone", ".venv/bin/hydrophone") else None


async def finished(line: str, world: World) -> tuple[int, str]:
    """Run a line to its end; return its exit code and what is seen, with the ports of the documents."""
    program = program_of(as_here(line, world))
    if program is None:
        code, text = await finished_by_shell(as_here(line, world), world)
    else:
        variables, arguments = program
        environment = environment_of(world, **variables)
        code, text = await asyncio.to_thread(
            run_forked, arguments, folder=world.folder, environment=environment
        )
    for documented, real in world.ports.items():
        text = re.sub(rf"\b{real}\b", documented, text)
    return code, text


async def finished_by_shell(line: str, world: World) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        *("bash", "-c", line), cwd=world.folder, env=environment_of(world), stdout=PIPE, stderr=STDOUT
    )
    try:
        seen, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    return process.returncode, seen.decode()


async def goes_on_and_stops(line: str, world: World) -> None:
    """Start a line, wait until it is up, stop it as Ctrl-C does."""
    program = program_of(as_here(line, world))
    assert program is not None
    variables, arguments = program
    environment = environment_of(world, **OF_ITS_OWN, **variables)
    code, written = await asyncio.to_thread(
        run_forked,
        arguments,
        folder=world.folder,
        environment=environment,
        is_to_be_stopped=lambda said: IS_UP.search(said) is not None,
    )
    assert IS_UP.search(written), written
    assert code == 0, f"{line}: {written[-2_000:]}"


def normal(text: str) -> str:
    """Return a text without what is no difference: spaces, capitals."""
    return " ".join(text.split()).casefold()


def is_as_shown(seen: str, shown: str) -> bool:
    """Return whether what is seen is what a page shows, where `…` is anything."""
    pattern = ".*".join(re.escape(part.strip()) for part in normal(shown).split("…"))
    return re.fullmatch(pattern, normal(seen)) is not None


async def try_out(typed: Typed, world: World) -> None:
    """Run what is typed, and hold what is seen against the page."""
    if typed.shown is None and GOES_ON.match(typed.line):
        await goes_on_and_stops(typed.line, world)
        return
    code, seen = await finished(typed.line, world)
    if typed.shown is None:
        assert code == 0, f"{typed.line}: {seen}"
    else:
        assert is_as_shown(seen, typed.shown), f"{typed.line}: {seen}"


@pytest.mark.parametrize("stretch", STRETCHES, ids=str)
async def test_what_is_typed_works(stretch: Stretch, usual: World, tmp_path: Path) -> None:
    lines = [typed for typed in stretch.typed if reason_not_to_run(typed.line) is None]
    async with WORLDS[stretch.given](usual, tmp_path) as world:
        for typed in lines:
            await try_out(typed, world)


async def read_until(stream: asyncio.StreamReader, wanted: str) -> str:
    """Return what is said up to the first line with a text."""
    said = ""
    async for line in stream:
        said += line.decode()
        if wanted in said:
            break
    return said


@pytest.mark.parametrize("block", PYTHON, ids=lambda block: f"{block.page}: {block.heading}")
async def test_python_does_what_it_says(block: Block, usual: World) -> None:
    """What listens for alerts is stopped when it has printed one; all else ends by itself."""
    listens = "async for" in block.text
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-u", "-c", as_here(block.text, usual)),
        cwd=usual.folder,
        env=environment_of(usual),
        stdout=PIPE,
        stderr=PIPE,
    )
    assert process.stdout is not None
    try:
        if listens:
            assert " BTC from " in await read_until(process.stdout, " BTC from ")
            process.terminate()
        _, errors = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert errors == b"", errors.decode()
    assert process.returncode == (-signal.SIGTERM if listens else 0)


@pytest.mark.parametrize("block", SQL, ids=lambda block: block.page)
async def test_sql_is_understood_by_our_tables(block: Block, tmp_path: Path) -> None:
    path = tmp_path / "predictions.db"
    open_database(path).close()
    with duckdb.connect(str(path)) as database:
        for statement in filter(str.strip, block.text.split(";")):
            database.execute(statement).fetchall()


@pytest.mark.parametrize("block", TOML, ids=lambda block: f"{block.page}: {block.heading}")
async def test_settings_are_sound(block: Block, usual: World, tmp_path: Path) -> None:
    (tmp_path / "hydrophone.toml").write_text(block.text, encoding="utf-8")
    world = replace(usual, folder=tmp_path, variables={})
    assert (await finished("hydrophone token create", world))[0] == 0  # some settings want that there is one
    code, said = await finished("hydrophone config check", world)
    assert (code, "settings are sound, " in said) == (0, True), said


def make_targets() -> Sequence[str]:
    lines = [typed.line for stretch in STRETCHES for typed in stretch.typed]
    return sorted({match[1] for line in lines if (match := re.match(r"make (\w+)", line))})


@pytest.mark.parametrize("target", make_targets())
async def test_make_knows_how(target: str) -> None:
    """Printed, not done: it would install, or run this suite in itself."""
    process = await asyncio.create_subprocess_exec(
        *("make", "--dry-run", target),
        cwd=ROOT,
        env={**os.environ, "MAKEFLAGS": "", "PYTHON": sys.executable},  # else it looks for one at each use
        stdout=PIPE,
        stderr=PIPE,
    )
    _, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()


async def test_npm_knows_the_scripts_that_documents_name() -> None:
    scripts = json.loads((ROOT / "dashboard/package.json").read_text(encoding="utf-8"))["scripts"]
    texts = [page.read_text(encoding="utf-8") for page in {ROOT / block.page for block in ALL_BLOCKS}]
    named = {name for text in texts for name in re.findall(r"dashboard/npm\.py run (\w+)", text)}
    assert named <= set(scripts)
    assert "dev" in named


async def test_nothing_is_excused_or_prepared_in_vain() -> None:
    lines = [typed.line for stretch in STRETCHES for typed in stretch.typed]
    assert [pattern for pattern in NOT_RUN if not any(re.match(pattern, line) for line in lines)] == []
    assert set(WORLDS) == {stretch.given for stretch in STRETCHES} | {USUAL}
    assert sum(reason_not_to_run(line) is None for line in lines) >= 50
