"""replay: a recording through the code that runs live; no clock, no network, the same bytes each time."""

import argparse
import json
import sys
from pathlib import Path

from tqdm import tqdm

from hydrophone.bootstrap import SOURCE_NAME, replay
from hydrophone.cli.flags import Commands, add_command, add_json, is_terminal
from hydrophone.config import LoadedSettings
from hydrophone.errors import ExitCode
from hydrophone.sources.recording import RecordingLink
from hydrophone.wire.quarantine import Quarantine


def add_commands(commands: Commands) -> None:
    """Add the command of this module."""
    parser = add_command(commands, "replay", "what a recording makes us say, one message per line", _replay)
    parser.add_argument("file", type=Path, metavar="FILE")
    parser.add_argument("--conn", metavar="NAME", help="which connection of the recording")
    add_json(parser)


def _replay(arguments: argparse.Namespace, loaded: LoadedSettings) -> int:
    path: Path = arguments.file
    quarantine = Quarantine()
    with tqdm(total=_size_of(path), unit="B", unit_scale=True, disable=not is_terminal(), leave=False) as bar:

        def advance(count: int) -> None:
            bar.update(count)

        link = RecordingLink(
            path,
            source=SOURCE_NAME,
            conn=arguments.conn,
            on_malformed=lambda line, reason: bar.write(f"line {line} skipped: {reason}", file=sys.stderr),
            on_read=advance,
        )
        for publication in replay(loaded.settings, link, quarantine):
            if arguments.json:
                sys.stdout.buffer.write(publication.message + b"\n")
            else:
                bar.write(_in_words(publication.message), file=sys.stdout)
        sys.stdout.flush()
    if quarantine.count:
        newest = quarantine.specimens[-1].reason
        print(f"{quarantine.count} malformed parts left out; the last: {newest}", file=sys.stderr)
    return ExitCode.STOPPED


def _size_of(path: Path) -> int | None:
    """Return the bytes of a file for the progress bar; None when it cannot be had: reading will say why."""
    try:
        return path.stat().st_size
    except OSError:
        return None


def _in_words(raw: bytes) -> str:
    message = json.loads(raw)
    data = message["data"]
    moment = message["timestamp"][:19].replace("T", " ")
    if message["type"] == "whale_alert":
        return f"{moment}  {data['flow_type']:<8}  {data['text']}  ({data['transaction_id']})"
    successor = f" by {data['replacement_txid']}" if data["replacement_txid"] else ""
    block = f" in block {data['confirmation_block']}" if data["confirmation_block"] else ""
    return f"{moment}  {data['new_status']:<8}  {data['transaction_id']}{block}{successor}"
