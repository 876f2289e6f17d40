"""The program in processes that are forked from one which has it loaded: dozens of commands in seconds.

Each is a process of its own, with its own folder, environment and output; only the second that Python takes
to import everything is spent once for all.
"""

import multiprocessing
import os
import signal
import sys
import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

PATIENCE_S = 100
"""A command that takes longer hangs, and is ended: less than the time-out of a test, which cannot end it."""
_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["__main__", "hydrophone.cli", "tests.docs.forked"])


def run_forked(
    arguments: Sequence[str],
    *,
    folder: Path,
    environment: Mapping[str, str],
    is_to_be_stopped: Callable[[str], bool] = lambda _line: False,
) -> tuple[int, str]:
    """Run `hydrophone ARGUMENTS` to its end; return its exit code and all that it wrote.

    Args:
        arguments: of the program.
        folder: where it runs.
        environment: all its variables.
        is_to_be_stopped: whether it is stopped, as by Ctrl-C, once it has written a line.
    """
    with tempfile.TemporaryDirectory() as place:
        pipe = Path(place, "pipe")
        os.mkfifo(pipe)
        process = _FORKS.Process(target=_become, args=(pipe, list(arguments), folder, dict(environment)))
        process.start()
        assert process.pid is not None
        written, is_stopped = "", False
        try:
            with pipe.open(encoding="utf-8") as lines:
                for line in lines:
                    written += line
                    if not is_stopped and is_to_be_stopped(line):
                        is_stopped = True
                        os.kill(process.pid, signal.SIGINT)
            process.join()
        finally:
            process.kill()
            process.join()
    assert process.exitcode is not None
    return process.exitcode, written


def _become(pipe: Path, arguments: list[str], folder: Path, environment: dict[str, str]) -> None:
    descriptor = os.open(pipe, os.O_WRONLY)
    for standard in (1, 2):
        os.dup2(descriptor, standard)
    os.close(descriptor)
    signal.alarm(PATIENCE_S)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    warnings.simplefilter("error")
    from hydrophone.cli import main

    sys.exit(main(arguments))
