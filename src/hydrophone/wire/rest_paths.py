"""The table of paths: what can be asked where, and what is answered. The OpenAPI is made from it."""

from http import HTTPStatus
from typing import Any, Final

from hydrophone.domain.access import Scope
from hydrophone.wire.explanation_v1 import ExplanationV1
from hydrophone.wire.openapi import Operation
from hydrophone.wire.rest_queries import (
    DaysQuery,
    NetflowQuery,
    PredictionsQuery,
    RecordQuery,
    StatisticsQuery,
)
from hydrophone.wire.rest_v1 import (
    AccuracyV1,
    CoverageV1,
    FeeMarketV1,
    GapsV1,
    NetflowPageV1,
    PlainStatusV1,
    PredictionDetailV1,
    PredictionsPageV1,
    PricesV1,
    RecordPageV1,
    StatisticsV1,
    StatusV1,
    TokensV1,
)

_CSV: Final = ("text/csv",)
_TXID: Final[dict[str, Any]] = {
    "type": "string",
    "pattern": "^[0-9a-fA-F]{64}$",
    "description": "a txid of 64 hex digits",
    "example": "fa2421a1f2f3c2f7e2c1a6d1f7b2e3c4d5e6f708192a3b4c5d6e7f8091a2b3c4",
}
_SURENESS: Final = {
    "certain_btc": 120.5,
    "certain_sat": 12_050_000_000,
    "likely_btc": 30.0,
    "likely_sat": 3_000_000_000,
    "unknown_btc": 0.0,
    "unknown_sat": 0,
    "n": 2,
}

PREDICTIONS: Final = Operation(
    "/api/v1/predictions",
    "predictions",
    "Predictions, the newest first",
    "Pages by key: ask with `next_cursor` as `cursor` for what is older (also in the Link header). What "
    "comes in meanwhile is newer and moves nothing. A payment is one prediction, by its current version.",
    PredictionsPageV1,
    query=PredictionsQuery,
    media=_CSV,
)
PREDICTION: Final = Operation(
    "/api/v1/predictions/{txid}",
    "prediction",
    "One prediction with its versions, its end, and what it was said upon",
    "Any txid of the payment will do, an earlier version's too.",
    PredictionDetailV1,
    place=_TXID,
    errors=(HTTPStatus.NOT_FOUND,),
)
EXPLAIN: Final = Operation(
    "/api/v1/explain/{txid}",
    "explain",
    "Why a whale is judged as it is, to the satoshi",
    "By what is known now; `said` is what was said at the time. See docs/explain.md.",
    ExplanationV1,
    place=_TXID,
    errors=(HTTPStatus.NOT_FOUND,),
)
NETFLOW: Final = Operation(
    "/api/v1/netflow",
    "netflow",
    "What whales moved into and out of each exchange",
    "By hour or day of detection. Positive: coins into the exchange. By how sure the parts are: `certain` "
    "from 95 %, `likely` from 50 %, `unknown` below. Replaced and dropped payments do not count, "
    "pending ones do. `from` and `to` count by the hour.",
    NetflowPageV1,
    query=NetflowQuery,
    media=_CSV,
    example={
        "interval": "day",
        "data": [
            {
                "start": "2026-11-25T00:00:00.000000Z",
                "exchange": "Binance",
                "simulated": False,
                "net_btc": 150.5,
                "net_sat": 15_050_000_000,
                "received": _SURENESS,
                "sent": dict.fromkeys(_SURENESS, 0),
            }
        ],
        "next_cursor": None,
    },
)
STATISTICS: Final = Operation(
    "/api/v1/statistics",
    "statistics",
    "What was predicted, by day, week, month or quarter",
    "Weeks begin on Monday. Each row is one direction; sums over rows are sums over predictions. `from` and "
    "`to` count by the hour.",
    StatisticsV1,
    query=StatisticsQuery,
    media=_CSV,
)
ACCURACY: Final = Operation(
    "/api/v1/accuracy",
    "accuracy",
    "How good forecasts were",
    "Calibration curves, coverage of P50 and P90, scores against baselines, and by day. Every figure stands "
    "beside its n; what n does not carry is `insufficient_data`. "
    "Computed at most every five minutes (`computed_at`).",
    AccuracyV1,
    query=DaysQuery,
)
FEE_MARKET: Final = Operation(
    "/api/v1/fee-market",
    "fee_market",
    "The fee market as it is now",
    "And what was learned about it. Saved as a file, `hydrophone estimate 5 --market FILE` reads it.",
    FeeMarketV1,
)
PRICES: Final = Operation(
    "/api/v1/prices",
    "prices",
    "What a bitcoin is worth, for display alone",
    "As the source tells it, however old: `at` says of when. Nothing that is predicted or recorded rests on "
    "it.",
    PricesV1,
    example={
        "at": "2026-11-26T00:00:00.000000Z",
        "source": "mempool.space",
        "prices": {"USD": 100_000.0, "EUR": 86_000.0},
        "simulated": False,
    },
)
GAPS: Final = Operation(
    "/api/v1/gaps",
    "gaps",
    "When sources were blind, and how many whales were mined unseen",
    "Counted back from now.",
    GapsV1,
    query=DaysQuery,
)
RECORD: Final = Operation(
    "/api/v1/record",
    "record",
    "Everything we ever said, as a hash chain",
    "Entries after an index, in order. How to check them: docs/adr/0021-what-the-record-commits-to.md.",
    RecordPageV1,
    query=RecordQuery,
)
COVERAGE: Final = Operation(
    "/api/v1/labels/coverage",
    "labels_coverage",
    "How far labels reach",
    "By entity, and the share of the whales of the last 30 days on which they gave a direction.",
    CoverageV1,
)
STATUS: Final = Operation(
    "/api/v1/status",
    "status",
    "What the service does, and whether it is well",
    "What `hydrophone status` shows.",
    StatusV1,
    tag="service",
)
TOKENS: Final = Operation(
    "/api/v1/tokens",
    "tokens",
    "The tokens there are, without their text",
    "Made by `hydrophone token create`, ended by `hydrophone token revoke ID`.",
    TokensV1,
    scope=Scope.ADMIN,
    tag="service",
)
HEALTH: Final = Operation(
    "/healthz",
    "healthz",
    "200 while it runs",
    "Says nothing about the source.",
    PlainStatusV1,
    scope=None,
    tag="service",
    example={"status": "ok"},
)
READINESS: Final = Operation(
    "/readyz",
    "readyz",
    "200 while a source is heard",
    "Else 503, and why.",
    PlainStatusV1,
    scope=None,
    tag="service",
    example={"status": "ready"},
)
METRICS: Final = Operation(
    "/metrics",
    "metrics",
    "Figures for Prometheus",
    "In its text format, version 0.0.4.",
    None,
    media=("text/plain",),
    tag="service",
)

OPERATIONS: Final = (
    PREDICTIONS,
    PREDICTION,
    EXPLAIN,
    NETFLOW,
    STATISTICS,
    ACCURACY,
    FEE_MARKET,
    PRICES,
    GAPS,
    RECORD,
    COVERAGE,
    STATUS,
    TOKENS,
    HEALTH,
    READINESS,
    METRICS,
)
"""All of them."""
