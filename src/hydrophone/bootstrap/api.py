"""Who answers what at port 8000: the table of paths meets the store, the core and the settings."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from hydrophone.domain.labels import LabelBook
from hydrophone.domain.scoring import LEAST_PREDICTIONS
from hydrophone.domain.units import Txid, format_instant
from hydrophone.pipeline.accuracy import AccuracyDesk
from hydrophone.pipeline.kept_answers import KeptAnswers
from hydrophone.pipeline.ports import Clock
from hydrophone.store.confusion import count_flows
from hydrophone.store.duckdb_store import DuckDbStore
from hydrophone.store.hours import StoredHours
from hydrophone.store.side_reader import Cursor
from hydrophone.store.stored_hours import read_netflow, read_statistics
from hydrophone.store.stored_labels import count_directions
from hydrophone.store.stored_predictions import read_prediction, read_predictions
from hydrophone.web.access import Access
from hydrophone.web.replies import CSV, JSON, Refused
from hydrophone.web.rest import Encoded, Question, Route
from hydrophone.wire import rest_paths as paths
from hydrophone.wire.metrics import CONTENT_TYPE, Metric, encode_metrics
from hydrophone.wire.openapi import encode_answer, shaped
from hydrophone.wire.rest_json import encode_csv, encode_page
from hydrophone.wire.rest_v1 import (
    AccuracyV1,
    ConfusionV1,
    CountedRateV1,
    CoverageV1,
    FeeMarketV1,
    GapsV1,
    KnownTokenV1,
    LabelledEntityV1,
    NetflowV1,
    PeriodV1,
    PlainStatusV1,
    PredictionV1,
    PricesV1,
    RecordPageV1,
    SignalledShareV1,
    StatusV1,
    TokensV1,
)

_ACCURACY_AGE_S: Final = 300.0
"""# chosen: half a second of work in five minutes for a number of days, however often somebody asks."""
_STATUS_AGE_S: Final = 1.0
"""# chosen: counting 200,000 predictions takes some milliseconds, and a page asks every other second. Nothing
older is said: Prometheus comes every minute, and would else hear always of the minute before."""
COVERAGE_DAYS: Final = 30
_SHARE_DECIMALS: Final = 6

Tell = Callable[[Mapping[str, str]], Awaitable[Mapping[str, object]]]
"""What answers a query that is told as texts."""


@dataclass(frozen=True, slots=True)
class Sources:
    """Whom the answers come from.

    Attributes:
        report: what `hydrophone status` shows.
        fee_market: the market as it is now.
        gaps: when sources were blind.
        record: entries of the record.
        explain: why a transaction is judged as it is, as JSON.
        why_not_ready: why whales would not be heard now; None: they would.
        metrics: figures for Prometheus, given the report.
        book: published labels.
        learned_count: of scripts.
        prices: what a bitcoin is worth.
        explorer_url: where a txid is appended; None: no links.
    """

    report: Callable[[], Awaitable[Mapping[str, object]]]
    fee_market: Callable[[], Awaitable[Mapping[str, object]]]
    gaps: Tell
    record: Tell
    explain: Callable[[Txid], Awaitable[bytes]]
    why_not_ready: Callable[[], str | None]
    metrics: Callable[[Mapping[str, Any]], list[Metric]]
    book: LabelBook
    learned_count: Callable[[], int]
    prices: Callable[[], Mapping[str, object]]
    explorer_url: str | None


class Api:
    """Answers every path.

    Args:
        store: open.
        hours: counts by hour.
        access: who is let in.
        sources: whom the answers come from.
        clock: now.
    """

    def __init__(
        self, store: DuckDbStore, hours: StoredHours, access: Access, sources: Sources, *, clock: Clock
    ) -> None:
        self._store = store
        self._hours = hours
        self._access = access
        self._sources = sources
        self._clock = clock
        self._scores = AccuracyDesk(store.query_forecasts, store.query_days)
        self._accuracy = KeptAnswers(self._compute_accuracy, max_age_s=_ACCURACY_AGE_S, now=time.monotonic)
        self._reports = KeptAnswers(
            self._report, max_age_s=_STATUS_AGE_S, oldest_s=_STATUS_AGE_S, now=time.monotonic
        )
        self._entities: list[LabelledEntityV1] | None = None

    def routes(self) -> tuple[Route, ...]:
        """Return who answers what."""
        return (
            Route(paths.PREDICTIONS, self._predictions),
            Route(paths.PREDICTION, self._prediction),
            Route(paths.EXPLAIN, self._explain),
            Route(paths.NETFLOW, self._netflow),
            Route(paths.STATISTICS, self._statistics),
            Route(paths.ACCURACY, self._answer_accuracy),
            Route(paths.FEE_MARKET, self._fee_market),
            Route(paths.PRICES, self._prices),
            Route(paths.GAPS, self._gaps),
            Route(paths.RECORD, self._record),
            Route(paths.COVERAGE, self._coverage),
            Route(paths.STATUS, self._status),
            Route(paths.TOKENS, self._tokens),
            Route(paths.HEALTH, self._health),
            Route(paths.READINESS, self._readiness),
            Route(paths.METRICS, self._metrics),
        )

    def shrink(self) -> int:
        """Keep fewer answers from now on; return how many went."""
        self._entities = None
        return self._accuracy.shrink() + self._reports.shrink()

    def grow(self) -> None:
        """Keep as many answers as usual again."""
        self._accuracy.grow()
        self._reports.grow()

    async def close(self) -> None:
        """Break off what is being computed."""
        await self._accuracy.close()
        await self._reports.close()

    async def _predictions(self, question: Question) -> Encoded:
        def ask(cursor: Cursor) -> Encoded:
            page = read_predictions(cursor, question.query, explorer_url=self._sources.explorer_url)
            body = encode_csv(PredictionV1, page.data) if question.wants_csv else encode_page(page)
            return Encoded(body, CSV if question.wants_csv else JSON, page.next_cursor)

        return await self._store.query(ask)

    async def _prediction(self, question: Question) -> Encoded:
        txid = Txid(question.place.lower())

        def ask(cursor: Cursor) -> Encoded:
            return Encoded(
                encode_answer(read_prediction(cursor, txid, explorer_url=self._sources.explorer_url))
            )

        return await self._store.query(ask)

    async def _explain(self, question: Question) -> Encoded:
        return Encoded(await self._sources.explain(Txid(question.place.lower())))

    async def _netflow(self, question: Question) -> Encoded:
        await self._hours.refresh()

        def ask(cursor: Cursor) -> Encoded:
            page = read_netflow(cursor, question.query)
            body = encode_csv(NetflowV1, page.data) if question.wants_csv else encode_page(page)
            return Encoded(body, CSV if question.wants_csv else JSON, page.next_cursor)

        return await self._store.query(ask)

    async def _statistics(self, question: Question) -> Encoded:
        await self._hours.refresh()

        def ask(cursor: Cursor) -> Encoded:
            found = read_statistics(cursor, question.query)
            body = encode_csv(PeriodV1, found.data) if question.wants_csv else encode_answer(found)
            return Encoded(body, CSV if question.wants_csv else JSON)

        return await self._store.query(ask)

    async def _answer_accuracy(self, question: Question) -> Encoded:
        return Encoded(await self._accuracy.answer(question.query.days))

    async def _compute_accuracy(self, days: float) -> bytes:
        flows = await self._store.query(lambda cursor: count_flows(cursor, days))
        scores = await self._scores.answer({"days": repr(days)})
        confusion = ConfusionV1(
            n=sum(count.n for count in flows),
            amended=sum(count.n for count in flows if count.said != count.now),
            counts=[count._asdict() for count in flows],
        )
        computed_at = format_instant(self._clock())
        return encode_answer(shaped(AccuracyV1, {**scores, "computed_at": computed_at, "flow": confusion}))

    async def _fee_market(self, _: Question) -> object:
        return shaped(FeeMarketV1, await self._sources.fee_market())

    async def _prices(self, _: Question) -> object:
        return shaped(PricesV1, self._sources.prices())

    async def _gaps(self, question: Question) -> object:
        return shaped(GapsV1, await self._sources.gaps({"days": repr(question.query.days)}))

    async def _record(self, question: Question) -> object:
        query = {"since": str(question.query.since), "limit": str(question.query.limit)}
        return shaped(RecordPageV1, await self._sources.record(query))

    async def _coverage(self, _: Question) -> object:
        n, with_direction = await self._store.query(lambda cursor: count_directions(cursor, COVERAGE_DAYS))
        book = self._sources.book
        if self._entities is None:
            self._entities = await asyncio.to_thread(_describe_entities, book)
        share = round(with_direction / n, _SHARE_DECIMALS) if n >= LEAST_PREDICTIONS else None
        return CoverageV1(
            label_set=book.version,
            on=None if book.on is None else book.on.isoformat(),
            claims=len(book),
            scripts=book.script_count,
            disputed=sum(entity.disputed for entity in self._entities),
            learned=self._sources.learned_count(),
            signals=SignalledShareV1(
                days=COVERAGE_DAYS,
                n=n,
                with_direction=with_direction,
                share=CountedRateV1(n=n, value=share, insufficient_data=share is None),
            ),
            entities=self._entities,
        )

    async def _report(self, _: str) -> Mapping[str, object]:
        return await self._sources.report()

    async def _status(self, _: Question) -> object:
        return shaped(StatusV1, await self._reports.answer(""))

    async def _tokens(self, _: Question) -> object:
        now = self._clock()
        return TokensV1(
            data=[
                KnownTokenV1(
                    token_id=token.token_id,
                    name=token.name,
                    scope=token.scope.value,
                    created_at=format_instant(token.created_at),
                    expires_at=None if token.expires_at is None else format_instant(token.expires_at),
                    expired=token.is_over(now),
                )
                for token in self._access.tokens()
            ],
            required=not self._access.is_open,
        )

    async def _health(self, _: Question) -> object:
        return PlainStatusV1("ok")

    async def _readiness(self, _: Question) -> object:
        reason = self._sources.why_not_ready()
        if reason is not None:
            raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, "not_ready", reason, "see /api/v1/status")
        return PlainStatusV1("ready")

    async def _metrics(self, _: Question) -> Encoded:
        figures = self._sources.metrics(await self._reports.answer(""))
        return Encoded(encode_metrics(figures), CONTENT_TYPE, may_be_kept=False)


def _describe_entities(book: LabelBook) -> list[LabelledEntityV1]:
    claims: defaultdict[tuple[str, str], int] = defaultdict(int)
    scripts: defaultdict[tuple[str, str], set[bytes]] = defaultdict(set)
    sources: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    dates: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for label in book:
        key = (label.entity.name, label.entity.kind.value)
        claims[key] += 1
        scripts[key].add(label.script)
        sources[key].add(label.source)
        if label.as_of is not None:
            dates[key].add(label.as_of.isoformat())
    return [
        LabelledEntityV1(
            entity=name,
            kind=kind,
            claims=claims[name, kind],
            scripts=len(scripts[name, kind]),
            disputed=sum(map(book.is_disputed, scripts[name, kind])),
            sources=sorted(sources[name, kind]),
            oldest=min(dates[name, kind], default=None),
            newest=max(dates[name, kind], default=None),
        )
        for name, kind in sorted(claims)
    ]
