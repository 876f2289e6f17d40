"""Confirmation estimates on real transactions of December 2014, each forecast before its outcome was known.

The arrivals between 17 pairs of successive blocks; blocks had room for all, so this judges template lag,
imperfect inclusion and the course of blocks, not congestion. What is forecast, learned and scored is what a
service would. The data are not part of the repository: see `evaluation.shared_data`.
"""

import csv
import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from evaluation.shared_data import find
from hydrophone.domain.confirmation import HORIZONS, Corrections, estimate_confirmation, seeded_paths
from hydrophone.domain.feemarket import FeeMarket, RateProfile
from hydrophone.domain.forecast import Forecaster
from hydrophone.domain.model_state import ModelState
from hydrophone.domain.scoring import (
    CATEGORIES,
    Floats,
    Integers,
    block_bootstrap,
    brier,
    category_of,
    category_probabilities,
    log_score,
    ranked_score,
)
from hydrophone.domain.units import Height, Txid, micros_from_seconds

_WEIGHT_BY_BYTE: Final = 4
_SHOWN: Final = (1, 2, 3)
_CLIMATE_PRIOR: Final = 1.0


@dataclass(frozen=True)
class Arrival:
    """A transaction as a node of 2014 saw it.

    Attributes:
        txid: of it.
        seen_at: seconds.
        rate: sat/vB.
        weight_wu: four for each byte.
        tip: height of the newest block then.
        confirmed_in: height of its block; None: not while it was watched.
        gone_at: when it was mined; None: it was not.
        is_scored: whether it came between blocks that follow each other.
    """

    txid: Txid
    seen_at: float
    rate: float
    weight_wu: int
    tip: int
    confirmed_in: int | None
    gone_at: float | None
    is_scored: bool


def load(folder: Path) -> tuple[list[tuple[int, float]], list[Arrival]]:
    """Return blocks (height, seconds) and arrivals, both in order of time."""
    with (folder / "blocks_2014.csv").open(encoding="utf-8", newline="") as file:
        blocks = [(int(row["height"]), float(row["first_seen_unix"])) for row in csv.DictReader(file)]
    with (folder / "lifecycle_2014.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    arrivals = [
        Arrival(
            txid=Txid(row["txid"]),
            seen_at=float(row["first_seen_unix"]),
            rate=float(row["feerate_sat_per_kB"]) / 1_000,
            weight_wu=int(row["size_bytes"]) * _WEIGHT_BY_BYTE,
            tip=max((h for h, at in blocks if at <= float(row["first_seen_unix"])), default=0),
            confirmed_in=int(float(row["confirmed_height"])) if row["confirmed_height"] else None,
            gone_at=float(row["confirmed_seen_unix"]) if row["confirmed_seen_unix"] else None,
            is_scored=row["in_continuous_window"].strip() == "1",
        )
        for row in rows
    ]
    return sorted(blocks, key=lambda b: b[1]), sorted(arrivals, key=lambda a: a.seen_at)


@dataclass
class Scored:
    """Forecasts side by side, and what came: a row for each arrival."""

    ours: list[tuple[float, ...]]
    ends: list[tuple[float, ...]]
    lagging: list[tuple[float, ...]]
    climate: list[tuple[float, ...]]
    climate_ends: list[tuple[float, ...]]
    etas: list[tuple[float | None, float | None]]
    arrivals: list[Arrival]


def run(blocks: Sequence[tuple[int, float]], arrivals: Sequence[Arrival], *, mended_from: int) -> Scored:
    """Forecast each arrival with what was known then.

    Args:
        blocks: in order.
        arrivals: in order.
        mended_from: scored blocks from which on probabilities are recalibrated; a service waits for 500.
    """
    from hydrophone.domain import model_state  # noqa: PLC0415 -- one constant of it is changed

    model_state.SCORED_BLOCKS = mended_from  # type: ignore[misc]
    forecaster = Forecaster(ModelState())
    found = Scored([], [], [], [], [], [], [])
    plain = _lag_and_thinning()
    waiting: dict[Txid, Arrival] = {}
    known: list[int] = []
    open_ones: list[Arrival] = []
    mined = defaultdict(list)
    for arrival in arrivals:
        if arrival.confirmed_in is not None:
            mined[arrival.confirmed_in].append(arrival.txid)
    events = sorted(
        [(at, 0, height) for height, at in blocks] + [(a.seen_at, 1, n) for n, a in enumerate(arrivals)]
    )
    looked_at = 0.0
    for now, kind, number in events:
        at = micros_from_seconds(now)
        if kind == 0:
            forecaster.note_block(
                Height(number), f"{number:064x}", at, found_at=at, profile=None, mined=mined[number]
            )
            for txid in mined[number]:
                waiting.pop(txid, None)
            known += [number - a.tip for a in open_ones if a.confirmed_in == number]
            open_ones = [a for a in open_ones if a.confirmed_in != number]
            looked_at = 0.0
            continue
        arrival = arrivals[number]
        if now > looked_at + 1:
            looked_at = now
            profiles = [RateProfile(a.weight_wu, (a.rate,) * 7) for a in waiting.values()]
            forecaster.note_market((), (), profiles, at)
            forecaster.note_time(micros_from_seconds(now + 1))
        if arrival.is_scored and forecaster.market is not None:
            estimate = forecaster.forecast(arrival.txid, arrival.rate, arrival.weight_wu, made_at=at).estimate
            assert estimate is not None
            p_confirm = tuple(estimate.p_confirm.values())
            found.arrivals.append(arrival)
            found.ours.append(p_confirm)
            found.ends.append(category_probabilities(p_confirm, estimate.p_replaced, estimate.p_dropped))
            found.lagging.append(plain)
            found.etas.append((estimate.eta_p50_s, estimate.eta_p90_s))
            counts = [sum(b <= h for b in known) for h in HORIZONS]
            n = len(known) + 2 * _CLIMATE_PRIOR
            found.climate.append(tuple((c + _CLIMATE_PRIOR) / n for c in counts))
            shares = np.full(len(CATEGORIES), _CLIMATE_PRIOR / len(CATEGORIES))
            for b in known:
                shares[category_of(b)] += 1
            found.climate_ends.append(tuple(shares / shares.sum()))
            open_ones.append(arrival)
        forecaster.note_market([arrival.rate], [arrival.weight_wu], None, at)
        waiting[arrival.txid] = arrival
    return found


def _lag_and_thinning() -> tuple[float, ...]:
    """Return the same for everybody: no backlog, half a minute's lag, 96 % of blocks take it."""
    market = FeeMarket.from_rates((), (), tip=Height(0))
    estimate = estimate_confirmation(
        market, seeded_paths(0), 10.0, 0, corrections=Corrections(inclusion=0.96)
    )
    return tuple(estimate.p_confirm.values())


def table(found: Scored, last_height: int, name: str) -> None:
    """Print the figures, with intervals of a bootstrap over blocks."""
    tips = np.array([a.tip for a in found.arrivals], dtype=np.int64)
    generator = np.random.default_rng(2014)
    print(f"{name}: {len(tips)} arrivals, {len(np.unique(tips))} intervals")
    waited = [None if a.confirmed_in is None else a.confirmed_in - a.tip for a in found.arrivals]
    for horizon in _SHOWN:
        column = HORIZONS.index(horizon)
        is_known = np.array(
            [
                w is not None or last_height - a.tip >= horizon
                for w, a in zip(waited, found.arrivals, strict=True)
            ]
        )
        came = np.array([float(w is not None and w <= horizon) for w in waited])[is_known]
        models = {
            "ours": np.array(found.ours)[is_known, column],
            "climatology": np.array(found.climate)[is_known, column],
            "always block 1": np.ones(int(is_known.sum())),
            "lag + thinning": np.array(found.lagging)[is_known, column],
        }
        ours = log_score(models["ours"], came)
        print(f"  k={horizon}, n={len(came)}, came true {came.mean():.3f}")
        for model, p in models.items():
            score = log_score(p, came)
            line = f"    {model:<16} log {score.mean():.3f}  Brier {brier(p, came).mean():.3f}"
            if model != "ours":
                gain = block_bootstrap(score - ours, tips[is_known], generator)
                line += f"   ours better by {gain.value:+.3f} [{gain.low:+.3f}, {gain.high:+.3f}]"
            print(line)
    _ranked(found, waited, last_height, tips, generator)
    _coverage(found, tips, generator)
    rates = np.array([a.rate for a in found.arrivals])
    top = rates >= np.quantile(rates, 0.9)
    is_known = np.array(
        [w is not None or last_height - a.tip >= 2 for w, a in zip(waited, found.arrivals, strict=True)]
    )
    within = np.array([float(w is not None and w <= 2) for w in waited])[top & is_known]
    decile = block_bootstrap(within, tips[top & is_known], generator)
    share = f"{decile.value:.3f} +- {decile.standard_error:.3f}"
    print(f"  top decile within 2 blocks {share}, n={len(within)} (bar .98)")


def _ranked(
    found: Scored,
    waited: Sequence[int | None],
    last_height: int,
    tips: Integers,
    generator: np.random.Generator,
) -> None:
    places = [
        i
        for i, (w, a) in enumerate(zip(waited, found.arrivals, strict=True))
        if w is not None or last_height - a.tip >= HORIZONS[-1]
    ]
    categories = np.array([category_of(waited[i]) for i in places])
    ours: Floats = ranked_score(np.array(found.ends)[places], categories)
    climate: Floats = ranked_score(np.array(found.climate_ends)[places], categories)
    gain = block_bootstrap(climate - ours, tips[places], generator)
    print(
        f"  RPS of what was confirmed, n={len(places)}: "
        f"ours {ours.mean():.4f}, climatology {climate.mean():.4f}, "
        f"better by {gain.value:+.4f} [{gain.low:+.4f}, {gain.high:+.4f}]"
    )


def _coverage(found: Scored, tips: Integers, generator: np.random.Generator) -> None:
    for number, name in enumerate(("P50", "P90")):
        places = [
            i
            for i, (a, e) in enumerate(zip(found.arrivals, found.etas, strict=True))
            if a.gone_at is not None and e[number] is not None
        ]
        met = np.array(
            [
                float(
                    (found.arrivals[i].gone_at or 0) - found.arrivals[i].seen_at
                    <= (found.etas[i][number] or 0)
                )
                for i in places
            ]
        )
        cover = block_bootstrap(met, tips[places], generator)
        print(
            f"  coverage of {name} {cover.value:.3f} +- {cover.standard_error:.3f} "
            f"[{cover.low:.3f}, {cover.high:.3f}], n={cover.predictions} in {cover.blocks} intervals"
        )


def main() -> int:
    """Print the table, as a service would do, and with recalibration from the first block on."""
    folder = find("data/lifecycle_2014")
    if folder is None:
        return 0
    blocks, arrivals = load(folder)
    last = max(height for height, _ in blocks)
    table(run(blocks, arrivals, mended_from=500), last, "as served (uncalibrated before 500 blocks)")
    table(run(blocks, arrivals, mended_from=1), last, "recalibrated from the first block on")
    return 0


if __name__ == "__main__":
    sys.exit(main())
