import re
from math import inf, nan

from hydrophone.wire.metrics import Metric, counter, encode_metrics, gauge


def test_figures_are_spelled_as_prometheus_reads_them() -> None:
    text = encode_metrics(
        [
            gauge("height_blocks", "How\nhigh.", 3),
            counter("seen_total", "Seen.", 2.5, where='a"b\\c\nd'),
            gauge("unknown", "Not now.", None),
            Metric("odd", "gauge", "Odd.", (("", {}, nan), ("_x", {}, inf), ("_y", {}, -inf))),
        ]
    ).decode()
    assert text == (
        "# HELP hydrophone_height_blocks How\\nhigh.\n"
        "# TYPE hydrophone_height_blocks gauge\n"
        "hydrophone_height_blocks 3\n"
        "# HELP hydrophone_seen_total Seen.\n"
        "# TYPE hydrophone_seen_total counter\n"
        'hydrophone_seen_total{where="a\\"b\\\\c\\nd"} 2.5\n'
        "# HELP hydrophone_unknown Not now.\n"
        "# TYPE hydrophone_unknown gauge\n"
        "# HELP hydrophone_odd Odd.\n"
        "# TYPE hydrophone_odd gauge\n"
        "hydrophone_odd NaN\nhydrophone_odd_x +Inf\nhydrophone_odd_y -Inf\n"
    )
    assert all(re.fullmatch(r"# (HELP|TYPE) .*|[a-z_]+(\{.*\})? [^ ]+", line) for line in text.splitlines())
