r"""Which galaxy shows which statistic."""

__all__ = ["FIGURES"]

from collections.abc import Callable
from functools import cache

from matplotlib.figure import Figure

from benchmarks.gallery import light, structure, symmetry
from benchmarks.gallery.galaxies import Galaxy, galaxy, in_band

AEGIS = "aegis_hst/cutouts/{}.acs.{}_6ac_.fits"
SDSS = "sdss_r/{}.fits"
HICKSON = "fields/hcg88_sdss_gri/reprojected_sdss_{}.fits.bz2"


@cache
def aegis(number: str) -> Galaxy:
    return galaxy(AEGIS.format(number, "i"), f"AEGIS {number}")


@cache
def tails() -> Galaxy:
    return galaxy(SDSS.format("1237671124293910779"), "SDSS, r")


@cache
def disk() -> Galaxy:
    return galaxy(SDSS.format("1237660614513131530"), "SDSS, r")


@cache
def small() -> Galaxy:
    return galaxy(SDSS.format("1237667735565238388"), "SDSS, r")


@cache
def compact() -> Galaxy:
    return galaxy(HICKSON.format("g"), "Hickson 88, g", (156, 130, 125))


FIGURES: dict[str, Callable[[], Figure]] = {
    "sources": lambda: light.sources(aegis("12019995"), compact()),
    "radii": lambda: light.radii(disk()),
    "asymmetry": lambda: symmetry.asymmetry(aegis("12019995")),
    "outer": lambda: symmetry.outer(tails()),
    "smoothness": lambda: structure.smoothness(aegis("13050507")),
    "gini": lambda: structure.gini(aegis("12019653"), aegis("13050507")),
    "m20": lambda: structure.m20(aegis("12019653"), aegis("13050507")),
    "mid": lambda: structure.parts(aegis("12016058")),
    "sersic": lambda: light.sersic(aegis("12012573")),
    "bar": lambda: symmetry.bars(aegis("12008179")),
    "spiral": lambda: symmetry.spirals(aegis("13018671")),
    "isophotes": lambda: light.isophote(aegis("13050572")),
    "colours": lambda: light.colours(
        in_band(aegis("13018671"), AEGIS.format("13018671", "v")),
        aegis("13018671"),
        "V - I + const",
    ),
    "information": lambda: structure.information(small()),
}
r"""The figures by name."""
