"""Curves are pictures any browser can show, whatever the figures are."""

from __future__ import annotations

import math
from xml.etree import ElementTree as ET

from hypothesis import given, settings
from hypothesis import strategies as st

from training.curves import MAX_POINTS, Line, draw, thinned

POINTS = st.lists(st.tuples(st.floats(), st.floats()), max_size=30)


@settings(deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs", "Cc"])), POINTS)
def test_every_line_becomes_a_well_formed_picture(
    name: str, points: list[tuple[float, float]]
) -> None:
    limited = [(x, y) for x, y in points if not abs(x) > 1e100 and not abs(y) > 1e100]
    picture = draw(name, "x", "y", [Line(name, limited), Line("empty", [])])
    root = ET.fromstring(picture)
    assert root.attrib["aria-label"] == name
    assert "nan" not in picture.replace(name, "")
    assert "inf" not in picture.replace(name, "")


def test_points_lie_where_they_belong() -> None:
    root = ET.fromstring(draw("t", "x", "y", [Line("falling", [(0, 2), (1, 1), (2, 0)])]))
    (line,) = root.iter("{http://www.w3.org/2000/svg}polyline")
    places = [tuple(map(float, one.split(","))) for one in line.attrib["points"].split()]
    assert [x for x, _ in places] == sorted(x for x, _ in places)
    assert [y for _, y in places] == sorted(y for _, y in places), "down on the page is less"


def test_many_points_become_the_means_of_neighbours() -> None:
    found = thinned([(float(one), 1.0) for one in range(10 * MAX_POINTS)] + [(math.nan, 5.0)])
    assert len(found) == MAX_POINTS
    assert found[0] == (4.5, 1.0)
