"""estimate: when a transaction at some fee rate would confirm, now or in a given market."""

import argparse
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from hydrophone.cli.asking import fetch_from_service
from hydrophone.cli.flags import Commands, add_command, add_json
from hydrophone.config import LoadedSettings, Settings
from hydrophone.domain.confirmation import (
    DEPTH,
    HORIZONS,
    NO_CORRECTIONS,
    ConfirmationEstimate,
    estimate_confirmation,
    seeded_paths,
)
from hydrophone.domain.feemarket import TARGET_INTERVAL_S, TEMPLATE_LAG_S, FeeMarket
from hydrophone.domain.model_state import Group, ModelState
from hydrophone.domain.units import Height
from hydrophone.domain.urgency import Urgency, fallback_urgency, score_urgency
from hydrophone.errors import ConfigError, ExitCode, SourceUnavailable

_WEIGHT_WU: Final = 561
"""Of a payment of one input and two outputs (P2WPKH): what most people send."""
_MAX_WEIGHT_WU: Final = 4_000_000
"""Sources: BIP 141."""
_LIMITS: Final = {"tip": 2**31 - 1, "tau_s": 1e9, "template_lag_s": 1e9, "rate": 1e12, "amount": 1e15}
"""# chosen: beyond any market; what is computed in single precision stays finite. Of the tip: Bitcoin Core,
chain.h, CBlockIndex::nHeight is an int."""
_PATHS: Final = 20_000
"""# chosen: ten times those of a service: somebody asks once, and sees less noise."""
_DECIMALS: Final = 6
_SHOWN: Final = 80


def add_commands(commands: Commands) -> None:
    """Add the command of this module."""
    parser = add_command(commands, "estimate", "when a transaction at a fee rate would confirm", _estimate)
    parser.add_argument("rate", type=_rate, metavar="RATE", help="in sat/vB")
    parser.add_argument(
        "--weight", type=_weight, default=_WEIGHT_WU, metavar="WU", help=f"of it; default: {_WEIGHT_WU}"
    )
    parser.add_argument(
        "--market",
        type=Path,
        metavar="FILE",
        help='{"tip":H,"tau_s":600,"template_lag_s":30,"waiting":[[rate,weight_wu],...],'
        '"inflow":[[rate,wu_per_s],...]}; default: that of the running service',
    )
    parser.add_argument(
        "--no-corrections", action="store_true", help="the plain model: no imperfect miners, no other ends"
    )
    add_json(parser)


def _estimate(arguments: argparse.Namespace, loaded: LoadedSettings) -> int:
    market, state = _market(arguments.market, loaded.settings)
    rate: float = arguments.rate
    is_plain: bool = arguments.no_corrections
    group = Group(market.standing(rate), is_replacement=False)
    paths = seeded_paths(market.tip, is_growth_known=is_plain, count=_PATHS)
    corrections = NO_CORRECTIONS if is_plain else state.corrections(group)
    estimate = estimate_confirmation(market, paths, rate, arguments.weight, corrections=corrections)
    if not is_plain:
        estimate = state.mend(estimate)
    urgency = (
        score_urgency(rate, market, estimate.by_block[0]) if market.has_mined else fallback_urgency(rate)
    )
    if arguments.json:
        print(json.dumps(_as_json(estimate, urgency, is_calibrated=state.is_calibrated and not is_plain)))
    else:
        _print(estimate, urgency, is_calibrated=state.is_calibrated and not is_plain)
    return ExitCode.STOPPED


def _as_json(estimate: ConfirmationEstimate, urgency: Urgency, *, is_calibrated: bool) -> dict[str, object]:
    return {
        "p_confirm": {str(k): round(p, _DECIMALS) for k, p in estimate.p_confirm.items()},
        "p_replaced": round(estimate.p_replaced, _DECIMALS),
        "p_dropped": round(estimate.p_dropped, _DECIMALS),
        "eta_p50_s": None if estimate.eta_p50_s is None else round(estimate.eta_p50_s, 1),
        "eta_p90_s": None if estimate.eta_p90_s is None else round(estimate.eta_p90_s, 1),
        "predicted_confirmation_block": estimate.predicted_block,
        "urgency_score": round(urgency.score, _DECIMALS),
        "urgency_basis": urgency.basis,
        "calibrated": is_calibrated,
    }


def _print(estimate: ConfirmationEstimate, urgency: Urgency, *, is_calibrated: bool) -> None:
    print("confirmed within   " + "".join(f"{k:>7}" for k in HORIZONS) + "  blocks")
    print("with probability   " + "".join(f"{p:>7.1%}" for p in estimate.p_confirm.values()))
    late = f"more than {DEPTH} blocks"
    p50, p90 = (late if s is None else f"{s / 60:.0f} min" for s in (estimate.eta_p50_s, estimate.eta_p90_s))
    print(f"half of such within {p50}, nine in ten within {p90}")
    block = estimate.predicted_block
    where = f"later than {DEPTH} blocks from {estimate.tip}" if block is None else f"by block {block}"
    print(f"more likely than not {where}")
    print(f"urgency {urgency.score:.2f}: {urgency.reason}")
    if not is_calibrated:
        print("uncalibrated: not mended by outcomes")


def _market(path: Path | None, settings: Settings) -> tuple[FeeMarket, ModelState]:
    """Return the market to estimate in, and what was learned there.

    Raises:
        ConfigError: the file is no market, or something else than the service answers.
        SourceUnavailable: no file is given and no service runs, or it knows no market yet.
    """
    if path is not None:
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
        except (ValueError, RecursionError) as error:
            raise ConfigError(f"{path} is no JSON: {error}") from error
        if isinstance(document, Mapping) and "market" in document:  # a whole answer of /api/v1/fee-market
            document = document["market"]
        return _parse_market(document, str(path)), ModelState()
    answer = fetch_from_service(settings, "/api/v1/fee-market")
    if answer is None:
        raise SourceUnavailable(
            f"no service runs on port {settings.api.port} to ask for its fee market: "
            "start one (`hydrophone run`), or give a market with --market FILE"
        )
    _, document = answer
    if document.get("market") is None:
        raise SourceUnavailable("the service knows no fee market yet: ask again after its next block")
    try:
        state = ModelState.from_json(document["model"])
    except (KeyError, ValueError) as error:
        raise ConfigError(
            f"the service on port {settings.api.port} is of another version: {error}"
        ) from error
    return _parse_market(document["market"], "the service's fee market"), state


def _parse_market(document: object, where: str) -> FeeMarket:
    """Return a market written down as JSON.

    Raises:
        ConfigError: it is none; the message says what is wrong.
    """
    if not isinstance(document, Mapping):
        raise ConfigError(f'{where}: expected a JSON object such as {{"tip":900000,"waiting":[[5,4000]]}}')
    tip = _number(document, "tip", where)
    if tip != int(tip):
        raise ConfigError(f"{where}: expected a whole number as tip, found {tip}")
    tau_s = _number(document, "tau_s", where, TARGET_INTERVAL_S)
    if tau_s <= 0:
        raise ConfigError(f"{where}: expected tau_s above 0, found {tau_s}")
    inflow = _pairs(document, "inflow", where)
    return FeeMarket.from_rates(
        _pairs(document, "waiting", where),
        inflow,
        tip=Height(int(tip)),
        tau_s=tau_s,
        template_lag_s=_number(document, "template_lag_s", where, TEMPLATE_LAG_S),
        long_inflow=_pairs(document, "inflow_long", where) if "inflow_long" in document else inflow,
        mined=_pairs(document, "mined", where) if document.get("mined") else None,
    )


def _number(document: Mapping[str, Any], key: str, where: str, default: float | None = None) -> float:
    value = document.get(key, default)
    limit = _LIMITS[key.rpartition(" ")[2]]
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= limit:
        raise ConfigError(
            f"{where}: expected a number from 0 to {limit:.10g} as {key}, found {_short(value)}"
        )
    return float(value)


def _short(value: object) -> str:
    """Return a value as a message shows it; an integer may have more digits than Python will spell."""
    try:
        return repr(value)[:_SHOWN]
    except (ValueError, RecursionError):
        return "something far too long"


def _pairs(document: Mapping[str, Any], key: str, where: str) -> list[tuple[float, float]]:
    pairs = document.get(key, [])
    if not isinstance(pairs, list):
        raise ConfigError(f"{where}: expected a list of pairs as {key}, found {_short(pairs)}")
    found = []
    for pair in pairs:
        if not isinstance(pair, list) or len(pair) != len(("rate", "amount")):
            raise ConfigError(f"{where}: expected pairs [sat/vB, amount] in {key}, found {_short(pair)}")
        named = {f"{key}'s rate": pair[0], f"{key}'s amount": pair[1]}
        rate, amount = (_number(named, name, where) for name in named)
        found.append((rate, amount))
    return found


def _rate(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = math.nan
    if not 0 <= rate < math.inf:
        raise argparse.ArgumentTypeError(f"expected a fee rate in sat/vB, 0 or more, found {text!r}")
    return rate


def _weight(text: str) -> int:
    try:
        weight_wu = int(text)
    except ValueError:
        weight_wu = 0
    if not 0 < weight_wu <= _MAX_WEIGHT_WU:
        raise argparse.ArgumentTypeError(f"expected a weight from 1 to {_MAX_WEIGHT_WU} WU, found {text!r}")
    return weight_wu
