"""Scores of forecasts, beside their bars and the floor of a perfect model."""

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Sequence
from typing import Any

import numpy as np

from hydrophone.domain.confirmation import DEPTH, HORIZONS
from hydrophone.domain.scoring import (
    Floats,
    Integers,
    JudgedForecast,
    block_bootstrap,
    brier,
    calibration_error,
    calibration_floor,
    category_probabilities,
    certain,
    climatology,
    log_score,
    ranked_score,
    skill,
)

Row = dict[str, Any]


def judged(row: Row) -> JudgedForecast:
    """Return a record as scoring knows it."""
    return JudgedForecast(
        tip=row["tip"],
        made_at_s=row["made_at"],
        p_confirm=tuple(row["p_confirm"]),
        p_replaced=row["p_replaced"],
        p_dropped=row["p_dropped"],
        eta_p50_s=row["eta_p50_s"],
        eta_p90_s=row["eta_p90_s"],
        projected=row["projected"],
        blocks=row["blocks"],
        end=row["end"],
        ended_after_s=row["after_s"],
        ended_after_blocks=row["end_blocks"],
        age_blocks=row["last_tip"] - row["tip"],
    )


def report(name: str, runs: Sequence[Sequence[Row]], *, only_calibrated: bool = True) -> None:
    """Print the figures of a scenario.

    Args:
        name: of it.
        runs: rows of each seed, in order of time.
        only_calibrated: leave the warm-up out.
    """
    rows: list[Row] = []
    climate, categories, groups = [], [], []
    for number, run in enumerate(runs):
        known = [(row, f) for row in run if (f := judged(row)).is_known(DEPTH)]
        base = climatology([forecast for _, forecast in known])
        for (row, forecast), b in zip(known, base, strict=True):
            if row["is_calibrated"] or not only_calibrated:
                rows.append(row)
                categories.append(forecast.category)
                climate.append(b)
                groups.append(number * 1_000_000 + row["tip"] % 1_000_000)
    blocks = np.array(groups, dtype=np.int64)
    count = len(np.unique(blocks))
    print(f"\n{name}: {len(rows)} forecasts over {count} blocks, {len(runs)} seeds")
    if count < 20:
        print("  insufficient data")
        return
    generator = np.random.default_rng(1)
    _calibration(rows, blocks, generator)
    _coverage(rows, blocks, generator)
    _skill(rows, np.array(categories), np.array(climate), blocks, generator)
    _top_decile(rows, runs, blocks, generator)


def came_within(row: Row, horizon: int) -> bool:
    """Return whether it was confirmed within so many blocks."""
    return row["blocks"] is not None and row["blocks"] <= horizon


def _calibration(rows: Sequence[Row], blocks: Integers, generator: np.random.Generator) -> None:
    print("  horizon      said   came     ECE  floor  1.3 x  Brier   log score")
    for number, horizon in enumerate(HORIZONS):
        p = np.array([row["p_confirm"][number] for row in rows])
        came = np.array([float(came_within(row, horizon)) for row in rows])
        error, floor = calibration_error(p, came), calibration_floor(p, blocks, generator, repeats=40)
        verdict = "ok" if error <= max(0.02, 1.3 * floor) else "FAILS"
        print(
            f"  {horizon:>3} blocks  {p.mean():>6.3f} {came.mean():>6.3f}  {error:>6.4f} {floor:>6.4f} "
            f"{1.3 * floor:>6.4f} {brier(p, came).mean():>6.4f}  {log_score(p, came).mean():>6.4f}  {verdict}"
        )


def _coverage(rows: Sequence[Row], blocks: Integers, generator: np.random.Generator) -> None:
    for quantile, nominal in (("eta_p50_s", 0.5), ("eta_p90_s", 0.9)):
        places = [i for i, r in enumerate(rows) if r["blocks"] is not None and r[quantile] is not None]
        met = np.array([float(rows[i]["after_s"] <= rows[i][quantile]) for i in places])
        found = block_bootstrap(met, blocks[places], generator)
        off = abs(found.value - nominal)
        verdict = "ok" if off <= max(0.02, 2 * found.standard_error) else "FAILS"
        print(
            f"  coverage of P{nominal * 100:.0f}: {found.value:.3f} +- {found.standard_error:.3f} "
            f"(n={found.predictions})  {verdict}"
        )


def _skill(
    rows: Sequence[Row],
    categories: Integers,
    climate: Floats,
    blocks: Integers,
    generator: np.random.Generator,
) -> None:
    ours = np.array([category_probabilities(r["p_confirm"], r["p_replaced"], r["p_dropped"]) for r in rows])
    score = ranked_score(ours, categories)
    cumulative = np.cumsum(ours, axis=1)[:, :-1]
    at_best = (cumulative * (1 - cumulative)).sum(axis=1).mean() / cumulative.shape[1]
    print(
        f"  RPS {score.mean():.4f}; {at_best:.4f} if the forecasts were exactly true: blocks come by chance"
    )
    for label, baseline, bar in (
        ("climatology of 7 days", climate, 0.3),
        ("the deterministic projected block", certain([r["projected"] for r in rows]), 0.0),
        ("always the next block", certain([1] * len(rows)), 0.0),
    ):
        found = skill(score, ranked_score(baseline, categories), blocks, generator)
        verdict = "ok" if found.value > bar else "FAILS"
        print(f"  skill over {label}: {found.value:.3f} [{found.low:.3f}, {found.high:.3f}]  {verdict}")


def _top_decile(
    rows: Sequence[Row], runs: Sequence[Sequence[Row]], blocks: Integers, generator: np.random.Generator
) -> None:
    """Of those that paid more than nine in ten of the 500 before them (of the same run)."""
    top: set[tuple[int, float, float]] = set()
    for number, run in enumerate(runs):
        window: deque[float] = deque()
        ordered: list[float] = []
        for row in run:
            if len(ordered) >= 100 and bisect_left(ordered, row["rate"]) >= 0.9 * len(ordered):
                top.add((number, row["made_at"], row["rate"]))
            window.append(row["rate"])
            insort(ordered, row["rate"])
            if len(window) > 500:
                del ordered[bisect_left(ordered, window.popleft())]
    places = [
        i for i, row in enumerate(rows) if (int(blocks[i]) // 1_000_000, row["made_at"], row["rate"]) in top
    ]
    if len(places) < 50:
        print("  top decile: insufficient data")
        return
    within = np.array([float(came_within(rows[i], 2)) for i in places])
    two = block_bootstrap(within, blocks[places], generator)
    again = block_bootstrap(
        np.array([float(rows[i]["end"] == "replaced" and rows[i]["end_blocks"] < 2) for i in places]),
        blocks[places],
        generator,
    )
    met = [i for i in places if rows[i]["blocks"] is not None and rows[i]["eta_p90_s"] is not None]
    p90 = block_bootstrap(
        np.array([float(rows[i]["after_s"] <= rows[i]["eta_p90_s"]) for i in met]), blocks[met], generator
    )
    print(
        f"  top decile by rate: within 2 blocks {two.value:.3f} +- {two.standard_error:.3f} (bar .98), "
        f"replaced by their own senders before that {again.value:.3f} +- {again.standard_error:.3f}, "
        f"within P90 {p90.value:.3f} +- {p90.standard_error:.3f} (bar .88-.92), n={len(places)}"
    )
