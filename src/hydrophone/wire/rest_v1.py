"""What REST answers, version 1: the structs that encode the answers and from which the OpenAPI is made.

The rules of `public_v1` hold: fields may be added, not renamed or removed. Amounts are there twice, as exact
`*_sat` and as `*_btc`; times are ISO 8601 in UTC. None means that we do not know.
"""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from hydrophone.wire.public_v1 import EntityV1, VersionV1

Instant = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]
TxidText = Annotated[str, Meta(description="A txid: 64 hex digits as explorers show it.")]
Share = Annotated[float, Meta(description="A probability in [0, 1].")]
Rate = Annotated[float, Meta(description="In sat/vB.")]
Seconds = Annotated[float, Meta(description="In seconds.")]
Btc = Annotated[float, Meta(description="In BTC.")]
Sat = Annotated[int, Meta(description="In satoshis, exact.")]

FLOW_TYPES = Literal["inflow", "outflow", "internal", "unknown"]
STATUSES = Literal["pending", "in_doubt", "confirmed", "replaced", "dropped"]


class RefusalV1(msgspec.Struct, frozen=True):
    """Why there is no answer: for programs, for people, and what to do."""

    code: Annotated[str, Meta(description="Stable, for programs.")]
    message: Annotated[str, Meta(description="What was expected and what was found.")]
    hint: Annotated[str, Meta(description="What to do about it; may be empty.")]


class ErrorAnswerV1(msgspec.Struct, frozen=True):
    """What every refusal looks like."""

    error: RefusalV1


class PlainStatusV1(msgspec.Struct, frozen=True):
    """That it is so."""

    status: str


class OutcomeV1(msgspec.Struct, frozen=True, kw_only=True):
    """How a prediction ended."""

    actual_outcome: str
    ended_at: Instant | None
    confirmation_time: Instant | None
    confirmation_block: int | None
    accuracy_score: (
        Annotated[
            float, Meta(description="1 - Brier score at the predicted block; null: none was predicted.")
        ]
        | None
    )
    time_to_confirmation_s: Annotated[int, Meta(description="Seconds from detection.")] | None
    lead_time_s: (
        Annotated[float, Meta(description="Seconds it had been public when its block was heard.")] | None
    )
    within_p50: bool | None
    within_p90: bool | None
    final_fee_rate: Rate | None
    change: str | None
    reason: str | None


class PredictionV1(msgspec.Struct, frozen=True, kw_only=True):
    """A prediction, by the current version of its payment."""

    prediction_id: str
    transaction_id: TxidText
    status: str
    flow_type: str
    flow_subtype: str | None
    flow_reason: str | None
    flow_probabilities: dict[str, float] | None
    confidence_score: Share | None
    btc_value: Annotated[float, Meta(description="Sum of the outputs, in BTC.")]
    gross_sat: Sat | None
    moved_btc: Annotated[float, Meta(description="Net of change and of self-transfer, in BTC.")] | None
    moved_sat: Sat | None
    inflow_btc: Btc | None
    inflow_sat: Sat | None
    outflow_btc: Btc | None
    outflow_sat: Sat | None
    internal_btc: Btc | None
    internal_sat: Sat | None
    interexchange_btc: Btc | None
    interexchange_sat: Sat | None
    fee_btc: Btc | None
    fee_sat: Sat | None
    weight_wu: int | None
    fee_rate: Rate | None
    effective_fee_rate: Rate | None
    urgency_score: Annotated[float, Meta(description="In [0, 1].")] | None
    urgency_basis: str | None
    urgency_reason: str | None
    rbf_enabled: bool
    was_modified: bool
    detection_timestamp: Instant
    received_at: Instant | None
    published_at: Instant | None
    predicted_confirmation_block: int | None
    confirm_probability: (
        Annotated[dict[str, float], Meta(description="P(confirmed within so many blocks), by blocks.")] | None
    )
    eta_p50_s: Seconds | None
    eta_p90_s: Seconds | None
    p_replaced: Share | None
    p_dropped: Share | None
    calibrated: bool | None
    confirmation_height: int | None
    replaced_by: TxidText | None
    exchange_addresses: list[str]
    entities: list[EntityV1]
    sighting: str | None
    source: str | None
    simulated: bool | None
    label_set: str | None
    history: Annotated[list[VersionV1], Meta(description="Earlier versions of the payment, oldest first.")]
    outcome: Annotated[OutcomeV1, Meta(description="null: it has not ended.")] | None
    text: Annotated[str, Meta(description="A sentence ready to post, as in the alert.")] | None
    explorer_url: Annotated[str, Meta(description="Where your explorer shows it.")] | None


class PredictionsPageV1(msgspec.Struct, frozen=True):
    """Predictions, the newest first."""

    data: list[PredictionV1]
    next_cursor: Annotated[str, Meta(description="Ask with it as `cursor` for what is older.")] | None


class CorrectionV1(msgspec.Struct, frozen=True):
    """A correction of what was said: the columns that changed."""

    amended_at: Instant
    reason: str
    before: dict[str, Any]
    after: dict[str, Any]


class EvidenceV1(msgspec.Struct, frozen=True, kw_only=True):
    """What it was said upon: enough to say it again."""

    label_set: str | None
    model_state: str | None
    market: Annotated[dict[str, Any], Meta(description="The fee market it was computed from.")] | None
    record: Annotated[
        list[dict[str, Any]],
        Meta(description="Its entries of the record: seq, recorded_at, kind, digest and hash."),
    ]
    raw_transaction_kept: bool
    explanation: Annotated[str, Meta(description="Where it is explained.")]


class PredictionDetailV1(PredictionV1, frozen=True, kw_only=True):
    """A prediction with what was corrected, and what it was said upon."""

    amendments: list[CorrectionV1]
    evidence: EvidenceV1


class SurenessV1(msgspec.Struct, frozen=True):
    """An amount by how sure its parts are: from 95 %, from 50 %, and the rest."""

    certain_btc: Btc
    certain_sat: Sat
    likely_btc: Btc
    likely_sat: Sat
    unknown_btc: Btc
    unknown_sat: Sat
    n: Annotated[int, Meta(description="Payments that made it up.")]


class NetflowV1(msgspec.Struct, frozen=True, kw_only=True):
    """What whales moved into and out of one exchange; positive net: coins into it."""

    start: Instant
    exchange: str
    simulated: bool
    net_btc: Btc
    net_sat: Sat
    received: SurenessV1
    sent: SurenessV1


class NetflowPageV1(msgspec.Struct, frozen=True, kw_only=True):
    """Flows by period and exchange, the newest first.

    Replaced and dropped payments do not count; pending ones do.
    """

    interval: Literal["hour", "day"]
    data: list[NetflowV1]
    next_cursor: str | None


class PeriodV1(msgspec.Struct, frozen=True, kw_only=True):
    """What was predicted in one period, by direction."""

    start: Annotated[str, Meta(extra_json_schema={"format": "date"})]
    flow_type: str
    simulated: bool
    n: Annotated[int, Meta(description="Predictions.")]
    open: Annotated[int, Meta(description="Of those, neither confirmed nor replaced nor dropped.")]
    confirmed: int
    replaced: int
    dropped: int
    gross_btc: Btc
    gross_sat: Sat
    moved_btc: Btc
    moved_sat: Sat
    inflow_btc: Btc
    inflow_sat: Sat
    outflow_btc: Btc
    outflow_sat: Sat
    fee_btc: Btc
    fee_sat: Sat


class StatisticsV1(msgspec.Struct, frozen=True, kw_only=True):
    """Statistics by period, the newest first; periods begin at midnight UTC.

    `left_off`: older periods did not fit into `limit`. They are left off whole, unless the newest alone has
    more rows.
    """

    period: Literal["daily", "weekly", "monthly", "quarterly"]
    data: list[PeriodV1]
    left_off: bool


class FeeMarketV1(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The fee market as it is now, and what was learned about it."""

    at: Instant | None
    market: (
        Annotated[
            dict[str, Any],
            Meta(description="By fee rate (sat/vB): waiting weight, inflow, what was mined. null: unknown."),
        ]
        | None
    )
    marginal_rate: Annotated[float, Meta(description="The least in the next template, sat/vB.")] | None
    model_state: str
    calibrated: bool
    model: dict[str, Any]
    let_go: Annotated[int, Meta(description="Forecasts not followed to their end: too many.")]
    simulated: bool


class PricesV1(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a bitcoin is worth, as the source tells it; null: it tells none."""

    at: Annotated[Instant, Meta(description="Of when the prices are; null: none are known.")] | None
    source: str
    prices: Annotated[dict[str, float], Meta(description="Of one bitcoin, by currency (ISO 4217).")] | None
    simulated: bool


class RecordEntryV1(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One thing we said, as the hash chain has it."""

    seq: int
    recorded_at: Instant
    kind: str
    prediction_id: str | None
    digest: str
    hash: str
    message: Annotated[str, Meta(description="The exact text that was published.")] | None


class HeadV1(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The newest entry."""

    seq: int
    hash: str


class RecordPageV1(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Entries of the record in order."""

    entries: list[RecordEntryV1]
    head: HeadV1


class CountedRateV1(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """A share beside its n; `insufficient_data` in its place where n does not carry one."""

    n: int
    value: float | None = None
    insufficient_data: bool = False


class GapV1(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A period in which a source may have told us less than everything."""

    source: str
    reason: str
    started_at: Instant
    ended_at: Instant | None
    duration_s: Seconds
    detail: str
    blocks: int
    blocks_read: int
    whales_mined: int | None
    whales_unseen: int | None


class GapsV1(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When sources were blind, and how many whales were mined unseen."""

    days: float
    from_: Instant = msgspec.field(name="from")
    to: Instant
    simulated: bool
    period_s: Seconds
    blind_s: Seconds
    blind_share: float | None
    gap_count: int
    blocks: int
    blocks_read: int
    whales_mined: int | None
    whales_unseen: int | None
    blind_spot_rate: CountedRateV1
    open_gap: GapV1 | None
    gaps: list[GapV1]
    gaps_left_off: int


class ScoredDayV1(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the predictions turned out that ended on one day."""

    day: Annotated[str, Meta(extra_json_schema={"format": "date"})]
    simulated: bool
    confirmed: int
    replaced: int
    dropped: int
    accuracy_score: dict[str, float | None]
    within_p50: dict[str, int]
    within_p90: dict[str, int]
    median_lead_time_s: Seconds | None


class ConfusionV1(msgspec.Struct, frozen=True, kw_only=True):
    """How often what was first said became what is said now, by amendments; and how often it stayed."""

    n: Annotated[int, Meta(description="Predictions looked at.")]
    amended: int
    counts: Annotated[list[dict[str, Any]], Meta(description="said, now and n; only what occurred.")]


class AccuracyV1(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How good forecasts were. What n does not carry is "insufficient_data"."""

    days: float
    computed_at: Instant
    forecasts: int
    forecasts_left_off: Annotated[
        int, Meta(description="Older forecasts of the period that were not looked at: too many.")
    ]
    simulated: int
    waiting: int
    blocks: int
    horizons: Annotated[
        dict[str, dict[str, Any]],
        Meta(
            description="By blocks: n, what was said and what came, Brier score, and the calibration curve."
        ),
    ]
    coverage: Annotated[dict[str, dict[str, Any]], Meta(description="Share confirmed within P50 and P90.")]
    ranked: dict[str, Any]
    pit: dict[str, Any]
    flow: ConfusionV1
    accuracy_score: dict[str, CountedRateV1]
    daily: list[ScoredDayV1]


class LabelledEntityV1(msgspec.Struct, frozen=True, kw_only=True):
    """What the labels say of one entity."""

    entity: str
    kind: str
    claims: int
    scripts: int
    disputed: Annotated[int, Meta(description="Scripts that another entity claims too.")]
    sources: list[str]
    oldest: str | None
    newest: str | None


class SignalledShareV1(msgspec.Struct, frozen=True, kw_only=True):
    """Of the whales of the last days, those on which a label gave a direction."""

    days: int
    n: int
    with_direction: int
    share: CountedRateV1


class CoverageV1(msgspec.Struct, frozen=True, kw_only=True):
    """How far labels reach."""

    label_set: str
    on: str | None
    claims: int
    scripts: int
    disputed: int
    learned: Annotated[int, Meta(description="Scripts learned from transactions.")]
    signals: SignalledShareV1
    entities: list[LabelledEntityV1]


class KnownTokenV1(msgspec.Struct, frozen=True, kw_only=True):
    """A token, without its text."""

    token_id: str
    name: str
    scope: Literal["read", "admin"]
    created_at: Instant
    expires_at: Instant | None
    expired: bool


class TokensV1(msgspec.Struct, frozen=True):
    """The tokens there are."""

    data: list[KnownTokenV1]
    required: Annotated[bool, Meta(description="Whether nobody is let in without one.")]


class PercentilesV1(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """Times beside their n; `insufficient_data` in their place where n does not carry them."""

    n: int
    p50: float | None = None
    p99: float | None = None
    insufficient_data: bool = False


class LatencyV1(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How fast we are."""

    received_to_published_ms: Annotated[
        dict[str, PercentilesV1],
        Meta(description="By source: from the frame to the subscribers, of the newest 500 announced whales."),
    ]


class LabelAgeV1(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of when the labels are that are used; null: none says it."""

    oldest: str | None
    newest: str | None
    newest_age_days: int | None


class StatusV1(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the service does, and whether it is well."""

    version: str
    uptime_s: int
    memory_mb: float
    memory: Annotated[dict[str, Any], Meta(description="How short of memory it is, and what was let go.")]
    process: Annotated[dict[str, Any], Meta(description="Open files and threads.")]
    network: str
    simulated: bool
    alerts_port: int
    whale_threshold_btc: Annotated[float, Meta(description="A whale's outputs sum to more, in BTC.")]
    explorer_url: Annotated[str, Meta(description="Where a txid is appended.")] | None
    source: dict[str, Any]
    predictions: dict[str, Any]
    accuracy: dict[str, Any]
    retention: Annotated[dict[str, Any], Meta(description="What was removed because of its age.")]
    gaps: int
    blindness: dict[str, Any]
    record_seq: int
    record_head: str
    alerts: dict[str, Any]
    queues: dict[str, dict[str, Any]]
    latency: LatencyV1
    labels: dict[str, Any]
    label_age: LabelAgeV1
    store: str
    storage: Annotated[dict[str, Any], Meta(description="The database's file, and room beside it.")]
