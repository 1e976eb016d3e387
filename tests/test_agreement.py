r"""How far two codes are apart is what the tables and the figures of agreement say."""

import math
import re
import shutil
from pathlib import Path

import pytest

from benchmarks.agreement import figures
from benchmarks.agreement.pairs import Pair, differences, near
from benchmarks.agreement.reasons import reasons
from benchmarks.agreement.tables import AGREED, GIVEN, RANGES, STATISTICS, Tolerance, rows, tables
from benchmarks.pages import PAGE, TABLES, renew, table
from pipeline.figures import style
from pipeline.morphometry import Morphology

DOCS = Path(__file__).parents[1] / "docs"


def pair(sn=20.0, apart=0.0, *, mode="fast", sample="GalSim, 64 px", **changed):
    r"""A galaxy of which all is 2 and as far apart; statmorph is from itself by .004."""

    theirs = {name: 2.0 for name in STATISTICS if not name.startswith("pixels")}
    ours = dict.fromkeys(STATISTICS, apart)
    again = dict.fromkeys(theirs, 0.004)
    given = {"flagged": False, "theirs": theirs | {"sn_per_pixel": sn}, "ours": ours}
    given |= {"same": again, "own": again}

    return Pair(sample, mode, **given | changed)


def cells(text, name):
    line = next(line for line in text.splitlines() if line.startswith(f"| {name} |"))
    return [cell.strip() for cell in line.split("|")[2:-1]]


def test_differences():
    ours = {"gini": 0.5, "m20": math.nan, "theta": 0.01, "r50": math.nan}
    theirs = {"gini": 0.52, "m20": math.nan, "theta": math.pi - 0.02, "r50": 3.0, "x": math.nan}
    found = differences(ours, theirs)

    assert found["gini"] == pytest.approx(-0.02)
    assert found["theta"] == pytest.approx(0.03)
    assert math.isnan(found["m20"]) and math.isnan(found["x"])
    assert found["r50"] == math.inf


def test_near():
    assert near({"x": 0.03, "y": -0.04})
    assert not near({"x": 0.04, "y": -0.04})
    assert not near({"x": math.inf, "y": 0.0}) and not near({"x": math.nan, "y": 0.0})


def test_rows():
    r"""One in four galaxies is outside of .005, but inside of 1 % of 2."""

    pairs = [pair(3.0, apart) for apart in (0.001, 0.002, -0.003, -0.009)]
    pairs += [pair(3.0, math.inf), pair(3.0, math.nan)]
    found = {row.statistic: row for row in rows(pairs)}

    assert found["gini"].outside == 25 and found["r50"].outside == 0
    assert found["gini"].median == pytest.approx(0.0025)
    assert found["sersic_n"].median == pytest.approx(0.00125)
    assert (found["gini"].galaxies, found["gini"].alone) == (4, 1)
    assert found["gini"].same == found["gini"].own == 0
    assert {row.sn for row in found.values()} == {"2.5 to 5"}
    assert [row.statistic for row in rows(pairs)] == list(STATISTICS)


def test_ranges():
    r"""What statmorph flags, or has no signal to noise of, is in no other range."""

    flagged = [pair(20.0, flagged=True), pair(math.nan)]
    found = rows([*flagged, *(pair(sn) for sn in (1.0, 2.5, 4.9, 5.0, 10.0, 1e3))])
    counts = {row.sn: row.galaxies for row in found if row.statistic == "gini"}

    assert counts == dict(zip(RANGES, (1, 2, 1, 2, 2), strict=True))


def test_parity():
    r"""Parity is relative: 1e-6 of 2, and of 1 for an angle."""

    found = {row.statistic: row for row in rows([pair(apart=1.5e-6, mode="parity")])}

    assert found["gini"].outside == 0 and found["theta"].outside == 100
    assert found["gini"].median == pytest.approx(0.75e-6)
    assert found["gini"].own == 100


def test_tables():
    real = [pair(20.0, 0.01, sample="aegis_hst"), pair(3.0, 0.0, sample="hcg88")]
    made = [pair(20.0, apart) for apart in (0.0, 0.0, 0.008)]
    fast = made + [pair(20.0, 0.2), *real]
    told = tables(fast + [one._replace(mode="parity") for one in fast])

    assert cells(told["fast"], "gini") == [".005", "**50** 0", "**0** 0", "**100** 0"]
    assert cells(told["fast, simulated"], "gini")[1] == "4e-03 2e-01 **50** 0"
    assert cells(told["fast, simulated, same centre"], "gini")[1] == "0e+00 8e-03 **33** 0"
    assert cells(told["parity, real"], "gini") == [
        "0e+00 0e+00 **0** 100",
        "5e-03 5e-03 **100** 100",
    ]
    assert "| simulated | above 10 | 4 | 3 | 4 | 0 of 1 |" in told["centres"]
    assert cells(told["parity"], "GalSim, 64 px") == ["4", "0", "0", "2", "2", "2, 2, 2"]
    assert set(AGREED) <= set(re.findall(r"^\| (\w+) \|", told["fast"], re.MULTILINE))


def test_reasons():
    r"""Each value that is outside has one reason, the design before the centre."""

    away = {"x": 1.0} | dict.fromkeys(("gini", "sersic_n"), 0.1)
    pairs = [pair(), pair(), pair()]
    pairs[1].ours.update(away)
    pairs[2].ours.update(gini=0.1, sersic_r_eff=0.1)
    told = reasons(pairs)["reasons"]
    values = sum(not name.startswith(GIVEN) for name in STATISTICS)

    assert cells(told, "simulated") == [str(3 * values), "5", "2", "2", "1"]


def test_smoothness_by_the_boxcar():
    r"""Only with the same centre, and only where there is a boxcar."""

    radii, apart = (7.9, 8.0, 11.9, 12.0, 8.0), (0.0, 0.004, 0.002, 1e-5, 0.5)
    pairs = [pair() for _ in radii]
    for one, radius, distance in zip(pairs, radii, apart, strict=True):
        one.theirs["rpetro_circ"], one.ours["smoothness"] = radius, distance
    pairs[-1].ours["x"] = 0.1
    told = reasons(pairs)["smoothness"]

    assert "| simulated | even | 2 | 3e-03 | 4e-03 |" in told
    assert "| simulated | odd | 1 | 1e-05 | 1e-05 |" in told


def test_galaxies_without_values():
    r"""Where statmorph stops nothing agrees, and nothing is hidden."""

    none = {name: math.nan for name in STATISTICS if not name.startswith("pixels")}
    stopped = pair(math.nan, math.inf, mode="parity", theirs=none, flagged=True)
    told = tables([stopped, pair(), stopped._replace(mode="fast")])

    assert cells(told["parity"], "GalSim, 64 px") == ["1", "1", "1", "0", "0", "0, 0, 0"]
    assert cells(told["fast, simulated"], "gini")[2] == "- +1"


def test_tolerances():
    assert str(Tolerance(0.05, 0.01)) == "1 % or .05 px"
    assert str(Tolerance(0.0, 0.01)) == "1 %" and str(Tolerance(0.02)) == ".02"
    known = {name.removesuffix("_points") for name in STATISTICS if not name.startswith("pixels")}
    assert known <= set(Morphology._fields)


def test_figures():
    r"""Each galaxy is a point, as many tolerances from 0 as it is apart."""

    pairs = [pair(20.0, 0.01), pair(4.0, -0.02), pair(4.0, 99.0), pair(sample="sdss_r")]
    with style():
        fast = figures.fast(pairs)
        figures.exact([one._replace(mode="parity") for one in pairs])
    panels = dict(zip(figures.PANELS, fast.axes, strict=True))
    lines = {line.get_label(): line for line in panels["gini"].lines}
    words = [text.get_text() for text in panels["gini"].texts]

    assert lines["simulated"].get_ydata() == pytest.approx([2, -4, figures.FURTHEST])
    assert lines["simulated"].get_xdata() == pytest.approx([20, 4, 4])
    assert lines["real"].get_ydata() == pytest.approx([0])
    assert lines["statmorph, turned"].get_ydata() == pytest.approx([0.8] * 4)
    assert words == ["100 (0)", "100 (0)", "0 (0)"]


def test_renew(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("a\n<!-- n -->\nold\n<!-- end -->\nb\n<!-- m -->\n<!-- end -->\n")
    renew(page, "m", "")
    renew(page, "n", table(["", "c"], [["\\d", "2"]]))
    renew(page, "n", table(["", "c"], [["\\d", "3"]]))

    text = "a\n<!-- n -->\n\n| | c |\n|---|---|\n| \\d | 3 |\n\n<!-- end -->\nb\n"
    assert page.read_text() == text + "<!-- m -->\n\n\n\n<!-- end -->\n"
    with pytest.raises(SystemExit, match="0 places for 'o'"):
        renew(page, "o", "")


def test_pages(tmp_path):
    r"""There is a place for each table, and what stands there is of all statistics."""

    pages = {name: (DOCS / name).read_text() for name in (PAGE, TABLES)}
    both = [pair(), pair(sample="hcg88")]
    told = tables(both + [one._replace(mode="parity") for one in both])
    for name in told | reasons(both):
        page = TABLES if "," in name else PAGE
        renew(Path(shutil.copy(DOCS / page, tmp_path)), f"agreement: {name}", "here")
        assert "here" in (tmp_path / page).read_text()
        block = pages[page].split(f"<!-- agreement: {name} -->")[1].split("<!-- end -->")[0]
        if name.startswith("fast"):
            some = [one for one in STATISTICS if "," in name or not one.startswith(GIVEN)]
            assert re.findall(r"^\| (\w+) \|", block, re.MULTILINE) == some
        assert block.count("|---") > 3


@pytest.mark.parametrize("name", [PAGE, TABLES])
def test_no_table_is_missing(name):
    for block in re.findall(
        r"<!-- [^>]* -->(.*?)<!-- end -->", (DOCS / name).read_text(), re.DOTALL
    ):
        assert block.count("|---") > 1
