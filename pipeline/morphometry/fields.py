r"""What the fields of :class:`Morphology` mean, and their units."""

__all__ = ["FLUXES", "JUMPING", "meaning", "unit"]

FLUXES = (
    "flux_circ",
    "flux_ellip",
    "sersic_amplitude",
    "sky_level",
    "sky_mean",
    "sky_median",
    "sky_sigma",
)
r"""What is in the unit of the image."""

JUMPING = (
    *("shape_asymmetry", "multimode", "gradient_pattern", "bar_length", "arms"),
    "ellipticity_change",
)
r"""What is no smooth function of pixels: shapes of sets above a threshold, what has a tolerance
far below the noise, and the largest or the first of something."""

_FIELDS = {
    "x_centroid": ("pix", "Column of the centroid of the segment, from 0 on"),
    "y_centroid": ("pix", "Row of the centroid of the segment, from 0 on"),
    "ellipticity_centroid": ("", "Ellipticity 1 - b/a of the second moments about the centroid"),
    "theta_centroid": ("rad", "Angle of their major axis, from x towards y"),
    "x": ("pix", "Column of the centre of least asymmetry, from 0 on"),
    "y": ("pix", "Row of the centre of least asymmetry, from 0 on"),
    "ellipticity": ("", "Ellipticity 1 - b/a of the second moments about the centre"),
    "theta": ("rad", "Angle of their major axis, from x towards y"),
    "flux_circ": ("", "Flux within two circular Petrosian radii, in the unit of the image"),
    "flux_ellip": ("", "Flux within two elliptical Petrosian radii, in the unit of the image"),
    "rpetro_circ": ("pix", "Petrosian radius"),
    "rpetro_ellip": ("pix", "Petrosian semi-major axis"),
    "rmax_circ": ("pix", "Distance of the furthest pixel of the outline from the centre"),
    "rmax_ellip": ("pix", "Semi-major axis of the ellipse through the furthest pixel"),
    "rhalf_circ": ("pix", "Radius of half the light within rmax_circ"),
    "rhalf_ellip": ("pix", "Semi-major axis of half the light within rmax_ellip"),
    "r20": ("pix", "Radius of 20 % of the light within 1.5 Petrosian radii"),
    "r50": ("pix", "Radius of half the light within 1.5 Petrosian radii"),
    "r80": ("pix", "Radius of 80 % of the light within 1.5 Petrosian radii"),
    "sn_per_pixel": ("", "Mean signal to noise of the pixels of the Gini segment"),
    "concentration": ("", "Concentration C = 5 lg(r80 / r20)"),
    "asymmetry": ("", "Asymmetry A under half a turn, sky subtracted"),
    "asymmetry_unbiased": ("", "Asymmetry with the mean bias of the noise of each pixel removed"),
    "rms_asymmetry2": ("", "Squared asymmetry of Sazonova et al. (2024)"),
    "outer_asymmetry": ("", "Asymmetry between rhalf_ellip and rmax_ellip"),
    "shape_asymmetry": ("", "Asymmetry of the outline"),
    "smoothness": ("", "Smoothness (clumpiness) S, sky subtracted"),
    "smoothness_unbiased": ("", "Smoothness with the mean bias of the noise removed"),
    "gini": ("", "Gini coefficient G of the pixels of the Gini segment, masked ones as zeros"),
    "gini_unmasked": ("", "Gini coefficient G of those that are not masked"),
    "m20": ("", "Second moment of the brightest 20 % of the light, M20"),
    "gini_m20_bulge": ("", "Bulge statistic of Gini and M20"),
    "gini_m20_merger": ("", "Merger statistic of Gini and M20"),
    "multimode": ("", "Multimode statistic M: the second largest region over the largest"),
    "intensity": ("", "Intensity statistic I: the second brightest region over the brightest"),
    "deviation": ("", "Deviation statistic D: from the centroid to the brightest region"),
    "sersic_amplitude": ("", "Intensity of the Sersic fit at sersic_r_eff, in the image's unit"),
    "sersic_r_eff": ("pix", "Semi-major axis of half the light of the Sersic fit"),
    "sersic_n": ("", "Sersic index"),
    "sersic_x": ("pix", "Column of the centre of the Sersic fit, from 0 on"),
    "sersic_y": ("pix", "Row of the centre of the Sersic fit, from 0 on"),
    "sersic_ellip": ("", "Ellipticity 1 - b/a of the Sersic fit"),
    "sersic_theta": ("rad", "Angle of its major axis, from x towards y"),
    "sersic_chi2_dof": ("", "Chi-squared of the Sersic fit per degree of freedom"),
    "sersic_aic": ("", "Akaike information criterion of the Sersic fit"),
    "sersic_bic": ("", "Bayesian information criterion of the Sersic fit"),
    "entropy": ("", "Shannon entropy of the pixel values, 0 to 1"),
    "gradient_pattern": ("", "Gradient pattern asymmetry G2"),
    "twist": ("rad", "Largest less smallest position angle of the isophotes"),
    "ellipticity_change": ("", "Largest less smallest ellipticity of the isophotes"),
    "bar_strength": ("", "Amplitude of the m = 2 Fourier mode of the bar over the mean"),
    "bar_theta": ("rad", "Angle of the bar, from x towards y"),
    "bar_length": ("pix", "Radius at which the bar ends"),
    "winding": ("", "Winding of the arms, log-polar Fourier transform; its sign is the hand"),
    "arms": ("", "Number of spiral arms, the strongest mode"),
    "pitch": ("rad", "Pitch angle of the spiral arms"),
    "sky_level": ("", "Level of the sky that was taken off, in the unit of the image"),
    "sky_mean": ("", "Mean of what is left in empty pixels, in the unit of the image"),
    "sky_median": ("", "Median of what is left there, in the unit of the image"),
    "sky_sigma": ("", "Noise of a pixel of the sky, in the unit of the image"),
    "sky_grain": ("pix", "Side of pixels of white noise that would be as noisy; 1 if it is white"),
    "flags": ("", "Why not to trust it, as bits, see the metadata `flag_bits`"),
}


def meaning(field: str) -> str:
    r"""Describes a field of :class:`Morphology` in a line.

    Example:
        >>> meaning("gini_error")
        'Standard error of gini'
    """

    return f"Standard error of {_base(field)}" if _is_error(field) else _FIELDS[field][1]


def unit(field: str) -> str:
    r"""Returns the unit of a field, empty for a pure number or for that of the image."""

    return _FIELDS[_base(field)][0]


def _base(field: str) -> str:
    return field.removesuffix("_error")


def _is_error(field: str) -> bool:
    return field.endswith("_error")
