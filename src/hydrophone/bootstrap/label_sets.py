"""Label sets from outside: files that are imported, lists that are synced."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Final

from hydrophone.bootstrap.parts import label_sets, load_labels
from hydrophone.config import Settings
from hydrophone.domain.label_revision import Revision
from hydrophone.domain.labels import Label, LabelBook
from hydrophone.domain.script import Network
from hydrophone.errors import ConfigError, SourceError, SourceRejected
from hydrophone.sources.label_lists import LIST_TIMEOUT_S, fetch_label_list
from hydrophone.store.label_files import parse_label_bytes, read_label_bytes
from hydrophone.store.label_formats import WRITERS, ParsedLabels, RejectedRow, Terms
from hydrophone.store.label_sets import SetInfo, name_from_path, require_name, write_whole

MAX_SHRINK: Final = 0.30
"""Share of a list that may vanish at once. chosen: Binance's own changed by a third in a year; more at once
is a page that broke, and would retire what is still true."""
STALE_DAYS: Final = 14
"""# chosen: an exchange added three addresses in its last month; a fortnight without a look is long."""

_GRAPHSENSE: Final = re.compile(r"graphsense-([A-Za-z0-9][A-Za-z0-9_.-]{0,40})")
_GRAPHSENSE_PACKS: Final = "https://raw.githubusercontent.com/graphsense/graphsense-tagpacks/master/packs"
_NOBODY_COUNTS: Final = lambda: None  # noqa: E731 -- a default


@dataclass(frozen=True, slots=True)
class KnownList:
    """A list that can be synced.

    Attributes:
        name: of the list, and of the set it becomes.
        text: what it is.
        url: where it is.
        form: in which form.
        licence: under which it is given; `facts` where its publisher states none.
        size: about how much is fetched, and how many labels it gives.
    """

    name: str
    text: str
    url: str
    form: str
    licence: str
    size: str


_GITHUB: Final = "https://raw.githubusercontent.com"
KNOWN_LISTS: Final = (
    KnownList(
        "binance",
        "Binance's proof of reserves: its own wallets",
        "https://www.binance.com/bapi/apex/v1/public/apex/market/por/address",
        "binance",
        "facts (no licence stated)",
        "under 1 MB, about 70 labels",
    ),
    KnownList(
        "htx",
        "HTX's snapshot of its reserves: its own wallets",
        f"{_GITHUB}/huobiapi/Tool-Node.js-VerifyAddress/main/snapshot/huobi_por.csv",
        "htx",
        "MIT",
        "under 1 MB, about 10 labels",
    ),
    KnownList(
        "ofac",
        "addresses on the US Treasury's sanctions list, read out every night by 0xB10C",
        f"{_GITHUB}/0xB10C/ofac-sanctioned-digital-currency-addresses/lists/sanctioned_addresses_XBT.json",
        "ofac",
        "public domain (US government)",
        "under 1 MB, about 530 labels",
    ),
    KnownList(
        "mining-pools",
        "payout addresses of mining pools, by mempool.space",
        f"{_GITHUB}/mempool/mining-pools/master/pools-v2.json",
        "mining-pools",
        "MIT",
        "under 1 MB, about 200 labels",
    ),
    *(
        KnownList(
            f"graphsense-exchange-wallets-{pack}",
            f"GraphSense TagPack of the {exchange} list of 2022",
            f"{_GRAPHSENSE_PACKS}/exchange-wallets-{pack}.yaml",
            "tagpack",
            "MIT",
            size,
        )
        for pack, exchange, size in (
            ("binance", "Binance", "under 1 MB, about 4 labels"),
            ("bitfinexcom", "Bitfinex", "under 1 MB, about 3 labels"),
            ("deribit", "Deribit", "under 1 MB, about 7 labels"),
            ("okx", "OKX", "under 1 MB, about 25 labels"),
        )
    ),
)


@dataclass(frozen=True, slots=True)
class SetReport:
    """What an import or a sync did.

    Attributes:
        name: of the set.
        revision: what became of it; None: its source says that nothing has changed.
        rejected: bad rows.
        skipped: rows that are none of ours.
        newly_disputed: number of scripts that two owners claim now and did not before.
    """

    name: str
    revision: Revision | None
    rejected: tuple[RejectedRow, ...] = ()
    skipped: tuple[RejectedRow, ...] = ()
    newly_disputed: int = 0


@dataclass(frozen=True, slots=True)
class SyncState:
    """How a list stands with us.

    Attributes:
        known: the list.
        info: what is known of our copy; None when it was never synced.
        age_days: since its publisher was last asked with success; None when it never was.
    """

    known: KnownList
    info: SetInfo | None
    age_days: int | None

    @property
    def is_stale(self) -> bool:
        """Whether it is followed and was not asked for too long, or could not be."""
        if self.info is None:
            return False
        return bool(self.info.failure) or self.age_days is None or self.age_days > STALE_DAYS


def find_list(name: str) -> KnownList:
    """Return a list by its name; any pack of GraphSense is one.

    Raises:
        ConfigError: there is none.
    """
    for known in KNOWN_LISTS:
        if known.name == name:
            return known
    pack = _GRAPHSENSE.fullmatch(name)
    if pack is not None:
        url = f"{_GRAPHSENSE_PACKS}/{pack[1]}.yaml"
        return KnownList(name.casefold(), "GraphSense TagPack", url, "tagpack", "MIT", "up to 30 MB")
    names = ", ".join(known.name for known in KNOWN_LISTS)
    raise ConfigError(f"there is no list {name!r}: expected {names}, or graphsense-PACK")


def sync_states(settings: Settings, today: date) -> list[SyncState]:
    """Return how each list stands with us, those first that are known by name."""
    sets = label_sets(settings)
    found = {name: info for name in sets.names() if (info := sets.info(name)) is not None and info.is_synced}
    lists = [*KNOWN_LISTS, *(find_list(name) for name in found if _GRAPHSENSE.fullmatch(name))]
    return [
        SyncState(known, found.get(known.name), _age_days(found.get(known.name), today))
        for known in {known.name: known for known in lists}.values()
    ]


def import_labels(
    settings: Settings,
    path: Path,
    today: date,
    *,
    name: str | None = None,
    form: str | None = None,
    confidence: float | None = None,
    advance: Callable[[], object] = _NOBODY_COUNTS,
) -> SetReport:
    """Make a set of a file, or bring the set of that name to what the file says now.

    Raises:
        ConfigError: nothing in the file is a label, or the set cannot be written; it is then as it was.
    """
    network = Network(settings.network)
    set_name = require_name(name if name is not None else name_from_path(path))
    _refuse_list_name(set_name)
    terms = Terms(network, source=set_name, confidence=confidence)
    parsed = parse_label_bytes(read_label_bytes(path), str(path), terms, form=form, advance=advance)
    if not parsed.labels:
        raise ConfigError(
            f"label file {path}: expected at least one label, found none in {len(parsed.rejected)} bad and "
            f"{len(parsed.skipped)} skipped rows: see what `hydrophone labels check FILE` says of it"
        )
    day = today.isoformat()
    info = SetInfo(set_name, network.value, origin=str(path), imported_on=day, checked_on=day)
    return _revise(settings, info, parsed, today, advance=advance)


async def sync_labels(
    settings: Settings,
    known: KnownList,
    today: date,
    *,
    url: str | None = None,
    confidence: float | None = None,
    may_shrink: bool = False,
    timeout_s: float = LIST_TIMEOUT_S,
    on_read: Callable[[int], object] = lambda _count: None,
) -> SetReport:
    """Fetch a list and bring its set to what it says now; on any failure the set stays as it was.

    Args:
        settings: all of them.
        known: the list.
        today: the date of its claims that state none.
        url: where to ask instead; it is remembered.
        confidence: of every claim, whatever the list says; it is remembered.
        may_shrink: whether to take a list that lost much of what it had.
        timeout_s: for the answer.
        on_read: told how many bytes have come.

    Raises:
        SourceError: it did not come whole, is no such list, or lost much of what it had.
        ConfigError: the set cannot be written, or another network is watched.
    """
    if settings.network != Network.MAINNET:
        raise ConfigError(
            f"{known.name} holds addresses of mainnet, and the network set is {settings.network}"
        )
    sets = label_sets(settings)
    before = sets.info(known.name)
    place = url or (before.origin if before is not None and before.is_synced else "") or known.url
    trust = confidence if confidence is not None or before is None else before.confidence
    etag = ""
    if before is not None and (before.origin, before.confidence) == (place, trust):
        etag = before.etag if sets.is_as_we_wrote_it(known.name) else ""  # a changed copy is fetched anew
    try:
        fetched = await fetch_label_list(place, etag=etag, timeout_s=timeout_s, on_read=on_read)
        if fetched is None:
            assert before is not None
            sets.note(replace(before, checked_on=today.isoformat(), failure=""))
            return SetReport(known.name, None)
        network = Network(settings.network)
        terms = Terms(network, known.name, trust, today, source_url=place, licence=known.licence)
        parsed = _parse_list(known, fetched.content, place, terms)
        day = today.isoformat()
        info = SetInfo(
            name=known.name,
            network=network.value,
            origin=place,
            licence=known.licence,
            imported_on=day,
            checked_on=day,
            etag=fetched.etag,
            is_synced=True,
            confidence=trust,
        )
        return _revise(settings, info, parsed, today, may_shrink=may_shrink)
    except SourceError as error:
        if before is not None:
            sets.note(replace(before, failure=str(error)))
        raise


def export_labels(
    book: LabelBook,
    network: Network,
    form: str,
    path: Path,
    *,
    advance: Callable[[], object] = _NOBODY_COUNTS,
) -> int:
    """Write all claims of a book into a file; return their number.

    Args:
        book: the claims.
        network: whose addresses are written.
        form: one of `WRITERS`.
        path: of the file.
        advance: called for each claim.

    Raises:
        ConfigError: it cannot be written; what stood there is still there.
    """

    def counted() -> Iterator[Label]:
        for label in book:
            advance()
            yield label

    content = "".join(WRITERS[form](counted(), network)).encode()
    try:
        if path.is_symlink() or (path.exists() and not path.is_file()):
            path.write_bytes(content)  # /dev/stdout, a pipe: to be written, not replaced
        else:
            write_whole(path, content)
    except OSError as error:
        raise ConfigError(
            f"cannot write {path}: {error.strerror}; make room, or name another file"
        ) from error
    return len(book)


def _parse_list(known: KnownList, content: bytes, place: str, terms: Terms) -> ParsedLabels:
    try:
        parsed = parse_label_bytes(content, place, terms, form=known.form)
    except ConfigError as error:
        raise SourceRejected(f"{error}: the copy we have is kept") from error
    if not parsed.labels:
        raise SourceRejected(
            f"{place}: expected a list of labels, found none in {len(parsed.rejected)} bad and "
            f"{len(parsed.skipped)} skipped rows: the copy we have is kept"
        )
    return parsed


def _revise(
    settings: Settings,
    info: SetInfo,
    parsed: ParsedLabels,
    today: date,
    *,
    may_shrink: bool = True,
    advance: Callable[[], object] = _NOBODY_COUNTS,
) -> SetReport:
    def agree(before_count: int, revision: Revision) -> None:
        if not may_shrink and revision.live < before_count * (1 - MAX_SHRINK):
            lost = 1 - revision.live / before_count
            raise SourceRejected(
                f"{info.name} had {before_count} labels and has {revision.live} now, {lost:.0%} fewer, and "
                f"more than {MAX_SHRINK:.0%} at once is rather a broken list: the copy we have is kept; take "
                "it all the same with --allow-shrink"
            )

    disputed = set(_disputed_scripts(settings, today))
    revision = label_sets(settings).revise(info, parsed.labels, on=today, agree=agree, advance=advance)
    newly = sum(script not in disputed for script in _disputed_scripts(settings, today))
    return SetReport(info.name, revision, parsed.rejected, parsed.skipped, newly)


def _disputed_scripts(settings: Settings, today: date) -> Iterator[bytes]:
    book, _ = load_labels(settings, today)
    return (script for script in book.scripts() if book.is_disputed(script))


def _refuse_list_name(name: str) -> None:
    if _GRAPHSENSE.fullmatch(name) or any(known.name == name for known in KNOWN_LISTS):
        raise ConfigError(
            f"{name} is the name of a list that is synced: give the file another with --name, "
            f"or fetch the list by `hydrophone labels sync {name}`"
        )


def _age_days(info: SetInfo | None, today: date) -> int | None:
    try:
        return None if info is None else (today - date.fromisoformat(info.checked_on)).days
    except ValueError:
        return None
