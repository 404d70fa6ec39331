"""Charts are well-formed, escaped, and honest about gaps."""

from xml.etree import ElementTree

import pytest

from kibitz_collector.ui.charts import Point, bars, lines, nice_ceiling


@pytest.mark.parametrize(
    ("value", "ceiling"),
    [(0, 1), (-3, 1), (1, 1), (1.2, 2), (3, 5), (7, 10), (0.03, 0.05), (900, 1000)],
)
def test_axis_ends_at_a_round_number(value: float, ceiling: float) -> None:
    assert nice_ceiling(value) == pytest.approx(ceiling)


def test_bars_stack_and_label_each_bucket() -> None:
    svg = ElementTree.fromstring(
        bars([Point("10:00", (3, 1)), Point("10:01", (0, 0))], ("ok", "bad"))
    )
    assert len([r for r in svg.iter("rect") if r.get("class", "").startswith("series")]) == 2
    assert [t.text for t in svg.iter("title")] == [
        "10:00 · ok: 3, bad: 1",
        "10:01 · ok: 0, bad: 0",
    ]


def test_line_breaks_where_nothing_is_known() -> None:
    points = [Point(str(i), (v,)) for i, v in enumerate((0.5, 0.6, None, 0.2, 0.1))]
    svg = ElementTree.fromstring(lines(points, ("pass rate",), high=1, threshold=0.7))
    assert len(list(svg.iter("polyline"))) == 2
    assert len([line for line in svg.iter("line") if line.get("class") == "threshold"]) == 1


def test_no_data_still_draws_a_frame() -> None:
    ElementTree.fromstring(bars([], ("ok",)))
    ElementTree.fromstring(lines([], ("ok",)))


def test_labels_cannot_break_out() -> None:
    drawn = bars([Point("</title><script>", (1,))], ("<b>",))
    assert "<script>" not in drawn
    assert "<b>" not in drawn
