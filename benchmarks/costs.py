r"""What each part of a measurement costs, and the tables of it."""

__all__ = ["PARTS", "SIDES", "our_costs", "ours", "tables"]

import math
import time
from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from typing import Any

from benchmarks.harness import Case
from benchmarks.pages import table
from benchmarks.samples import Galaxy
from benchmarks.watch import Kernel, watched
from pipeline.morphometry import measure

SIDES = (64, 128, 256)
r"""The sides of images, in pixels."""

PARTS = {
    "stamp": (
        "bounds stamp",
        "_slice_stamp _mask_stamp _mask_stamp_no_bg _cutout_stamp_maskzeroed"
        " _cutout_stamp_maskzeroed_no_bg",
    ),
    "sky": (
        "skybox left_over noise grain",
        "_slice_skybox sky_mean sky_median sky_sigma _sky_asymmetry",
    ),
    "centroid and shape": (
        "centroid shape",
        "_centroid _covariance_centroid ellipticity_centroid orientation_centroid"
        " _covariance_asymmetry ellipticity_asymmetry orientation_asymmetry",
    ),
    "centre of symmetry": ("centre", "_asymmetry_center"),
    "Petrosian radii": (
        "cumulate petrosian_radius",
        "_rpetro_circ_centroid rpetro_circ rpetro_ellip",
    ),
    "outline": ("outline reach", "_segmap_shape_asym rmax_circ rmax_ellip"),
    "radii and fluxes": (
        "aperture_flux radii radius_of_fraction",
        "flux_circ flux_ellip r20 r50 r80 rhalf_circ rhalf_ellip",
    ),
    "asymmetries": (
        "residual asymmetry turned_share rms_asymmetry2 rms_noise outer_asymmetry shape_asymmetry",
        "asymmetry rms_asymmetry2 outer_asymmetry shape_asymmetry",
    ),
    "smoothness": (
        "boxcar unmasked_boxcar noise_smoothness sky_smoothness smoothness",
        "smoothness",
    ),
    "Gini, M20, S/N": (
        "weights gini_segment ascending gini with_zeros m20 sn_per_pixel",
        "_segmap_gini gini m20 _weightmap_stamp sn_per_pixel",
    ),
    "multimode": ("multimode", "multimode"),
    "intensity and deviation": (
        "mid_segment intensity_deviation",
        "_segmap_mid intensity deviation",
    ),
    "Sersic fit": ("without_pixel sersic", "_sersic_model sersic_chi2_dof sersic_aic sersic_bic"),
    "without noise bias": ("unbiased_asymmetry unbiased_smoothness", ""),
    "entropy": ("entropy", ""),
    "gradient pattern": ("gradient_pattern", ""),
    "bar": ("bar", ""),
    "spiral": ("spiral", ""),
    "isophotes": ("isophote_twist", ""),
    "errors": ("level_error of_place of_growth of_turn of_light", ""),
}
r"""What is timed apart: our kernels and the properties of statmorph."""


def ours(galaxies: list[Galaxy], mode: str = "fast") -> None:
    for galaxy in galaxies:
        measure(galaxy.image, galaxy.labels, galaxy.label, gain=galaxy.gain, mode=mode)  # type: ignore[arg-type]


def our_costs(galaxies: list[Galaxy]) -> tuple[dict[str, float], float]:
    r"""Returns the seconds in each kernel that is called for a galaxy, and in all."""

    spent: dict[str, float] = defaultdict(float)
    with watched(partial(_timed, spent)):
        ours(galaxies)
        spent.clear()
        start = time.perf_counter()
        ours(galaxies)
        whole = time.perf_counter() - start

    return spent, whole


def _timed(spent: dict[str, float], name: str, kernel: Kernel) -> Kernel:
    r"""Adds up the time in a kernel."""

    def call(*arguments: Any, **named: Any) -> Any:
        start = time.perf_counter()
        result = kernel(*arguments, **named)
        spent[name] += time.perf_counter() - start
        return result

    return call


def tables(cases: Sequence[Case]) -> str:
    r"""Spells rates and costs, at each side.

    Arguments:
        cases: All that `python -m benchmarks.morphometry` measures.
    """

    found = {case.name: case for case in cases}
    sides = [side for side in SIDES if f"fast, {side} x {side} px" in found]
    fast, parity = (
        [found[f"{mode}, {side} x {side} px"] for side in sides] for mode in ("fast", "parity")
    )
    both = [found[f"what both measure, {side} px"] for side in sides]
    lines = [
        ["ours, `fast`, all of the above with errors, galaxies/s", *_told(fast, "ours")],
        ["statmorph, galaxies/s", *_told(fast, "theirs")],
        ["ratio", *_told(fast, "ratio")],
        ["ours, what both measure, ms", *_told(both, "ours")],
        ["statmorph, ms", *_told(both, "theirs")],
        ["**ratio of what both measure**", *_told(both, "ratio")],
        ["ratio of `parity`", *_told(parity, "ratio")],
    ]
    rates = table(["", *(f"{side} px" for side in sides)], lines)
    costs = [
        [part, *_pairs([found[f"{part}, {side} px"] for side in sides])]
        for part in (*PARTS, "everything else")
    ]
    rest = [
        (f"{case.name}, {case.unit}", case)
        for case in cases
        if case.unit == "s" or "processes" in case.name
    ]
    columns = [f"{code}, {side} px" for side in sides for code in ("ours", "statmorph")]
    parts = table(["milliseconds", *columns], costs)
    others = table(["", "first", "second"], [[name, *_pairs([case])] for name, case in rest])

    return f"{rates}\n{parts}\n{others}"


def _pairs(cases: Sequence[Case]) -> list[str]:
    r"""Spells both sides of each case, one beside the other."""

    both = zip(_told(cases, "ours"), _told(cases, "theirs"), strict=True)

    return [value for pair in both for value in pair]


def _told(cases: Sequence[Case], part: str) -> list[str]:
    values = [getattr(case, part) for case in cases]

    return ["-" if math.isnan(value) else f"{value:.3g}" for value in values]
