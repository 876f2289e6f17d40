"""Kept label sets: what was imported or synced, one file each in a folder beside the database (ADR 11).

A set is a CSV in our own form, `NAME.csv`, and `NAME.json` that says where it came from. Both are replaced
whole, so that a reader, or the service as it starts, sees one state or the other. The hash of the CSV is in
the JSON: a file that nobody changed since we wrote it is read several times faster, and one that somebody did
change is looked at address by address like any other.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, fields, replace
from datetime import date
from pathlib import Path
from typing import Final

from hydrophone.domain.label_revision import Revision, revise
from hydrophone.domain.labels import Label
from hydrophone.domain.script import Network
from hydrophone.errors import ConfigError
from hydrophone.store.label_files import LabelFile, LabelStream, load_label_file
from hydrophone.store.label_formats import Terms, read_trusted, write_own

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_LOCK: Final = ".lock"
_TEMPORARY_PREFIX: Final = ".writing-"


@dataclass(frozen=True, slots=True)
class SetInfo:
    """Where a set came from.

    Attributes:
        name: of the set; the source of its claims.
        network: whose addresses it has.
        origin: the file or URL it was read from.
        licence: of the list, as far as it is known.
        imported_on: ISO date on which its content was last read.
        checked_on: ISO date on which its source was last asked with success.
        etag: what its source called the content; empty when it did not.
        failure: why it could not be synced the last time; empty when it could.
        is_synced: whether it is a known list that is fetched, and not a file.
        confidence: of its claims, whatever the list says; None: as it says. Synced lists only.
        sha256: of the CSV as we wrote it, in hex.
    """

    name: str
    network: str
    origin: str = ""
    licence: str = ""
    imported_on: str = ""
    checked_on: str = ""
    etag: str = ""
    failure: str = ""
    is_synced: bool = False
    confidence: float | None = None
    sha256: str = ""


class LabelSets:
    """The sets of one folder.

    Args:
        folder: made when a set is first written.
        network: the one that is watched; sets of another are left alone.
    """

    def __init__(self, folder: Path, network: Network) -> None:
        self._folder = folder
        self._network = network

    def names(self) -> list[str]:
        """Return the names of the sets of this network, sorted.

        Raises:
            ConfigError: the folder cannot be looked into.
        """
        try:
            stems = sorted(path.stem for path in self._folder.iterdir() if path.suffix == ".csv")
        except FileNotFoundError:
            return []
        except OSError as error:
            raise ConfigError(
                f"labels.folder {self._folder}: expected a folder that can be read: {error.strerror}"
            ) from error
        return [name for name in stems if not name.startswith(".") and self._is_ours(name)]

    def load_all(self) -> Iterator[LabelFile | LabelStream]:
        """Yield what each set says, each to be used before the next.

        Raises:
            ConfigError: one cannot be used at all.
        """
        return (self.load(name) for name in self.names())

    def load(self, name: str) -> LabelFile | LabelStream:
        """Return what a set says.

        Raises:
            ConfigError: it cannot be used at all.
        """
        path = self.path_of(name)
        if self.is_as_we_wrote_it(name):
            return LabelStream(path, _read_stream(path))
        return load_label_file(path, self._network, terms=Terms(self._network, source=name))

    def is_as_we_wrote_it(self, name: str) -> bool:
        """Whether a set is there and nobody has changed its file."""
        info = self.info(name)
        if info is None or not info.sha256:
            return False
        try:
            with self.path_of(name).open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest() == info.sha256
        except OSError:
            return False  # who reads it will say why

    def info(self, name: str) -> SetInfo | None:
        """Return where a set came from; None when nobody knows."""
        try:
            found = json.loads(self._info_path(name).read_text(encoding="utf-8"))
            known = {entry.name for entry in fields(SetInfo)}
            return SetInfo(**{key: value for key, value in found.items() if key in known})
        except (OSError, ValueError, TypeError, AttributeError):
            return None  # without it a set is read carefully, and its source asked anew

    def revise(
        self,
        info: SetInfo,
        labels: tuple[Label, ...],
        *,
        on: date,
        agree: Callable[[int, Revision], None] = lambda _before, _revision: None,
        advance: Callable[[], object] = lambda: None,
    ) -> Revision:
        """Bring a set to what its source says now; nothing is changed when anything fails.

        Args:
            info: where it comes from; its hash is worked out here.
            labels: all that the source says now.
            on: today.
            agree: called with the number of claims the source made before and the revision; raises to refuse.
            advance: called for each claim that is written.

        Raises:
            ConfigError: its name cannot be one, it belongs to another network, or it cannot be written.
        """
        require_name(info.name)
        known = self.info(info.name)
        if known is not None and known.network != self._network:
            raise ConfigError(
                f"label set {info.name} holds addresses of {known.network}, and this is {self._network}: "
                "give it another name"
            )
        with self._alone():
            before = tuple(self.load(info.name).labels) if self.path_of(info.name).exists() else ()
            revision = revise(before, labels, on=on)
            agree(sum(label.valid_to is None for label in before), revision)
            lines = []
            for line in write_own(revision.labels, self._network):
                lines.append(line)
                advance()
            content = "".join(lines).encode()
            self._write(self.path_of(info.name), content)
            self._write_info(replace(info, sha256=hashlib.sha256(content).hexdigest()))
        return revision

    def note(self, info: SetInfo) -> None:
        """Write what has become known about a set that stays as it is.

        Raises:
            ConfigError: it cannot be written.
        """
        with self._alone():
            self._write_info(info)

    def path_of(self, name: str) -> Path:
        """Return the file of a set."""
        return self._folder / f"{name}.csv"

    def _info_path(self, name: str) -> Path:
        return self._folder / f"{name}.json"

    def _is_ours(self, name: str) -> bool:
        info = self.info(name)
        return info is None or info.network == self._network

    def _write_info(self, info: SetInfo) -> None:
        self._write(self._info_path(info.name), json.dumps(asdict(info), indent=1).encode() + b"\n")

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep other processes from changing the folder: what is read here is written back."""
        with self._saying_what_failed():
            self._folder.mkdir(parents=True, exist_ok=True)
            lock = (self._folder / _LOCK).open("ab")
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise ConfigError(
                    f"labels.folder {self._folder} is being changed by another import or sync: "
                    "try again when it is done"
                ) from error
            yield

    def _write(self, path: Path, content: bytes) -> None:
        with self._saying_what_failed():
            write_whole(path, content)

    @contextlib.contextmanager
    def _saying_what_failed(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise ConfigError(
                f"labels.folder {self._folder} cannot be written: {error.strerror}: make room, give this "
                "user the right to write it, or set labels.folder to another place; the set stays as it was"
            ) from error


def _read_stream(path: Path) -> Iterator[Label]:
    with path.open(encoding="utf-8", newline="") as lines:
        yield from read_trusted(lines)


def require_name(name: str) -> str:
    """Return a name that a set may have.

    Raises:
        ConfigError: it may not have that.
    """
    if _NAME.fullmatch(name) is None:
        raise ConfigError(
            f"expected a name of small letters, digits, dots and dashes for a label set, found {name!r}: "
            "give one with --name"
        )
    return name


def name_from_path(path: Path) -> str:
    """Return the name for the set of a file: its own, in the letters a name may have."""
    return re.sub(r"[^a-z0-9._-]+", "-", path.stem.casefold()).strip("-._")[:64]


def write_whole(path: Path, content: bytes) -> None:
    """Replace a file by another: whoever reads it sees the old one or the new one, also after a crash.

    Raises:
        OSError: it cannot be written; the old one is still there.
    """
    temporary = path.with_name(f"{_TEMPORARY_PREFIX}{path.name}-{os.getpid()}")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
