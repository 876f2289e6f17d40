"""accuracy: how good the forecasts of confirmation were."""

import argparse
import json
from pathlib import Path
from typing import Any, Final

from hydrophone.cli.asking import fetch_from_service
from hydrophone.cli.flags import Commands, add_command, add_json
from hydrophone.config import LoadedSettings
from hydrophone.errors import ConfigError, ExitCode
from hydrophone.pipeline.accuracy import DEFAULT_DAYS, days_of, report_accuracy, report_days
from hydrophone.store.daily import read_days
from hydrophone.store.forecasts import read_forecasts

_TIMEOUT_S: Final = 30.0
"""# chosen: scoring 200,000 forecasts takes some seconds."""
_INCHES: Final = (11.0, 5.0)
_DOTS_PER_INCH: Final = 120
_S_PER_MINUTE: Final = 60


def add_commands(commands: Commands) -> None:
    """Add the command of this module."""
    parser = add_command(commands, "accuracy", "how good the forecasts of confirmation were", _accuracy)
    parser.add_argument(
        "--days", metavar="N", help=f"before the newest prediction; default: {DEFAULT_DAYS:.0f}"
    )
    parser.add_argument(
        "--plot", type=Path, metavar="FILE", help="draw it (png, svg, pdf); needs the extra `plot`"
    )
    add_json(parser)


def _accuracy(arguments: argparse.Namespace, loaded: LoadedSettings) -> int:
    days = days_of(arguments.days)
    settings = loaded.settings
    answer = fetch_from_service(settings, f"/api/v1/accuracy?days={days}", timeout_s=_TIMEOUT_S)
    if answer is not None:
        _, found = answer
    else:
        path = settings.store.path
        found = {
            "days": days,
            **report_accuracy(read_forecasts(path, days)),
            **report_days(read_days(path, days)),
        }
    if arguments.plot is not None:
        _plot(found, arguments.plot)
    if arguments.json:
        print(json.dumps(found))
    else:
        print("\n".join(_in_words(found)))
    return ExitCode.STOPPED


def _in_words(found: dict[str, Any]) -> list[str]:
    counts = f"{found['forecasts']} forecasts over {found['blocks']} blocks in {found['days']:g} days"
    if found["simulated"]:
        counts += f", {found['simulated']} of them SIMULATED"
    lines = [
        f"{counts}, {found['waiting']} still waiting",
        "within        n  blocks   said   came    ECE  floor  Brier    log",
    ]
    for horizon, scores in found["horizons"].items():
        name = f"{horizon} block{'' if horizon == '1' else 's'}"
        if scores.get("insufficient_data"):
            lines.append(f"{name:<9} {scores['n']:>5} {scores['blocks']:>7}   insufficient data")
            continue
        figures = " ".join(
            f"{scores[key]:>6.3f}" for key in ("said", "came", "ece", "ece_floor", "brier", "log_score")
        )
        lines.append(f"{name:<9} {scores['n']:>5} {scores['blocks']:>7} {figures}")
    for name, nominal in (("p50", "50"), ("p90", "90")):
        lines.append(
            f"confirmed within {name.upper()} ({nominal} % wanted): {_figure(found['coverage'][name])}"
        )
    ranked = found["ranked"]
    if ranked.get("insufficient_data"):
        lines.append(f"ranked score: {_figure(ranked)}")
    else:
        lines.append(f"ranked score: {_figure(ranked['score'])}")
        for name, text in (
            ("climatology", "what came in the last seven days"),
            ("projected_block", "the projected block, taken at its word"),
            ("next_block", '"always the next block"'),
        ):
            lines.append(f"  better than {text} by {_figure(ranked['skill'][name])}")
    return [*lines, *_scores_in_words(found["accuracy_score"]), *_days_in_words(found["daily"])]


def _scores_in_words(scores: dict[str, Any]) -> list[str]:
    lines = []
    for name, mark in (("real", ""), ("simulated", " SIMULATED")):
        score = scores[name]
        if score["n"]:
            value = "insufficient data" if score.get("insufficient_data") else f"{score['value']:.3f}"
            lines.append(
                f"mean accuracy score (1 - Brier at the predicted block): {value} (n={score['n']}{mark})"
            )
    return lines


def _days_in_words(days: list[dict[str, Any]]) -> list[str]:
    """Return a table with a line for each day, n beside each figure."""
    if not days:
        return []
    lines = ["day (UTC)   confirmed replaced dropped   score (n)     in P50      in P90  public for (median)"]
    for day in days:
        score = day["accuracy_score"]
        value = "-" if score["value"] is None else f"{score['value']:.3f}"
        within = [f"{day[name]['met']}/{day[name]['n']}" for name in ("within_p50", "within_p90")]
        lead_s = day["median_lead_time_s"]
        lead = "-" if lead_s is None else f"{lead_s / _S_PER_MINUTE:.1f} min"
        lines.append(
            f"{day['day']}  {day['confirmed']:>9} {day['replaced']:>8} {day['dropped']:>7}"
            f" {value:>7} ({score['n']})".ljust(53)
            + f"{within[0]:>10}  {within[1]:>10}  {lead}"
            + (" SIMULATED" if day["simulated"] else "")
        )
    return lines


def _figure(scores: dict[str, Any]) -> str:
    if scores.get("insufficient_data"):
        return f"insufficient data (n={scores['n']} over {scores['blocks']} blocks)"
    return (
        f"{scores['value']:.3f} [{scores['low']:.3f}, {scores['high']:.3f}] "
        f"(n={scores['n']} over {scores['blocks']} blocks)"
    )


def _plot(found: dict[str, Any], path: Path) -> None:
    """Draw reliability curves and coverage.

    Raises:
        ConfigError: matplotlib is not installed, or the file cannot be written.
    """
    try:
        from matplotlib.figure import Figure  # noqa: PLC0415 -- an extra that few need
    except ImportError as error:
        raise ConfigError(
            "--plot needs matplotlib: install the extra with `pip install 'hydrophone[plot]'`"
        ) from error
    figure = Figure(figsize=_INCHES, layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot([0, 1], [0, 1], color="grey", linewidth=1)
    for horizon, scores in found["horizons"].items():
        if not scores.get("insufficient_data"):
            said, came, _ = zip(*scores["curve"], strict=True)
            left.plot(said, came, marker="o", markersize=3, label=f"{horizon} (n={scores['n']})")
    mark = " (SIMULATED)" if found["simulated"] else ""
    left.set(
        xlabel="said", ylabel="came true", title=f"Confirmed within k blocks{mark}", xlim=(0, 1), ylim=(0, 1)
    )
    if left.get_legend_handles_labels()[0]:
        left.legend()
    else:
        left.text(0.5, 0.5, "insufficient data", ha="center")
    for place, (name, nominal) in enumerate((("p50", 0.5), ("p90", 0.9))):
        scores = found["coverage"][name]
        right.plot([place - 0.3, place + 0.3], [nominal, nominal], color="grey", linewidth=1)
        if scores.get("insufficient_data"):
            right.text(place, 0.1, "insufficient data", ha="center")
            continue
        low, high = scores["value"] - scores["low"], scores["high"] - scores["value"]
        right.errorbar([place], [scores["value"]], yerr=[[max(0, low)], [max(0, high)]], fmt="o", capsize=4)
    right.set(ylabel="confirmed within", title="Coverage of the minutes", xlim=(-0.6, 1.6), ylim=(0, 1))
    right.set_xticks([0, 1], ["P50", "P90"])
    try:
        figure.savefig(path, dpi=_DOTS_PER_INCH)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be drawn: {error}") from error
