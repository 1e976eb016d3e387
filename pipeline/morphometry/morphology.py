r"""What is measured of one galaxy in one band."""

__all__ = ["Morphology"]

from typing import NamedTuple


class Morphology(NamedTuple):
    r"""What is measured of a galaxy. NaN where undefined; :mod:`flags` tell why.

    Lengths are in pixels, positions in pixels of the image from 0 on, angles in radians from
    the x axis towards the y axis, fluxes in the unit of the image.

    Each `X_error` is the standard error of `X`, to first order in the noise of pixels, see
    :mod:`uncertainty`: about two in three noisy images of a galaxy are within, around what is
    measured on average, bias included. There is none where a statistic is no smooth function of
    pixels and jumps with them, see :data:`fields.JUMPING`, until noise is added, see
    :func:`pipeline.morphometry.resampling.resampled`. `intensity` has none without a second peak.
    """

    x_centroid: float
    x_centroid_error: float
    y_centroid: float
    y_centroid_error: float
    ellipticity_centroid: float
    ellipticity_centroid_error: float
    theta_centroid: float
    theta_centroid_error: float
    x: float
    x_error: float
    y: float
    y_error: float
    ellipticity: float
    ellipticity_error: float
    theta: float
    theta_error: float
    flux_circ: float
    flux_circ_error: float
    flux_ellip: float
    flux_ellip_error: float
    rpetro_circ: float
    rpetro_circ_error: float
    rpetro_ellip: float
    rpetro_ellip_error: float
    rmax_circ: float
    rmax_circ_error: float
    rmax_ellip: float
    rmax_ellip_error: float
    rhalf_circ: float
    rhalf_circ_error: float
    rhalf_ellip: float
    rhalf_ellip_error: float
    r20: float
    r20_error: float
    r50: float
    r50_error: float
    r80: float
    r80_error: float
    sn_per_pixel: float
    sn_per_pixel_error: float
    concentration: float
    concentration_error: float
    asymmetry: float
    asymmetry_error: float
    asymmetry_unbiased: float
    asymmetry_unbiased_error: float
    rms_asymmetry2: float
    rms_asymmetry2_error: float
    outer_asymmetry: float
    outer_asymmetry_error: float
    shape_asymmetry: float
    shape_asymmetry_error: float
    smoothness: float
    smoothness_error: float
    smoothness_unbiased: float
    smoothness_unbiased_error: float
    gini: float
    gini_error: float
    gini_unmasked: float
    gini_unmasked_error: float
    m20: float
    m20_error: float
    gini_m20_bulge: float
    gini_m20_bulge_error: float
    gini_m20_merger: float
    gini_m20_merger_error: float
    multimode: float
    multimode_error: float
    intensity: float
    intensity_error: float
    deviation: float
    deviation_error: float
    sersic_amplitude: float
    sersic_r_eff: float
    sersic_n: float
    sersic_x: float
    sersic_y: float
    sersic_ellip: float
    sersic_theta: float
    sersic_amplitude_error: float
    sersic_r_eff_error: float
    sersic_n_error: float
    sersic_x_error: float
    sersic_y_error: float
    sersic_ellip_error: float
    sersic_theta_error: float
    sersic_chi2_dof: float
    sersic_aic: float
    sersic_bic: float
    entropy: float
    entropy_error: float
    gradient_pattern: float
    gradient_pattern_error: float
    bar_strength: float
    bar_strength_error: float
    bar_theta: float
    bar_theta_error: float
    bar_length: float
    bar_length_error: float
    winding: float
    winding_error: float
    arms: float
    arms_error: float
    pitch: float
    pitch_error: float
    twist: float
    twist_error: float
    ellipticity_change: float
    ellipticity_change_error: float
    sky_level: float
    sky_mean: float
    sky_median: float
    sky_sigma: float
    sky_grain: float
    flags: int
