r"""Surface brightness of what galaxies are made of.

Every profile is a function of coordinates in the plane of the galaxy or of the sky. Unless it
says otherwise it integrates to one, so that a component is its flux times its profile.
"""

__all__ = [
    "blobs",
    "edge_on_disk",
    "exponential_disk",
    "ferrers_bar",
    "moffat",
    "ring",
    "sersic",
    "spiral_ridge",
]

import math

import torch
from torch import Tensor


def sersic_b(index: Tensor) -> Tensor:
    r"""Returns the :math:`b_n` that puts half of the light within the effective radius.

    .. math:: b_n \approx 2n - \frac{1}{3} + \frac{4}{405 n} + \frac{46}{25515 n^2}

    which errs by less than 1e-4 above :math:`n = 0.5`.

    References:
        | Analytical properties of the R^(1/m) law (Ciotti & Bertin, 1999)
        | https://arxiv.org/abs/astro-ph/9911078
    """

    return 2 * index - 1 / 3 + 4 / (405 * index) + 46 / (25515 * index**2)


def sersic(radius: Tensor, effective: Tensor, index: Tensor, axis_ratio: Tensor) -> Tensor:
    r"""Returns a Sersic profile of unit flux.

    .. math:: I(r) = \frac{b_n^{2n}}{2 \pi n \, q \, r_e^2 \, \Gamma(2n)}
        \exp \left( -b_n (r / r_e)^{1/n} \right)

    References:
        | A Concise Reference to (Projected) Sersic R^(1/n) Quantities (Graham & Driver, 2005)
        | https://arxiv.org/abs/astro-ph/0503176

    Arguments:
        radius: The elliptical radius :math:`r` along the major axis, with shape `(*)`.
        effective: The half-light radius :math:`r_e` along the major axis.
        index: The Sersic index :math:`n`, 1 for a disk and 4 for a giant elliptical.
        axis_ratio: The axis ratio :math:`q`.

    Returns:
        The flux per unit of area, with shape `(*)`.
    """

    b = sersic_b(index)
    norm = 2 * index * b.log() - torch.lgamma(2 * index)
    norm = norm - (2 * math.pi * index * axis_ratio * effective**2).log()
    power = ((radius.clamp(min=1e-6) / effective).log() / index).exp()

    return (norm - b * power).exp()


def exponential_disk(radius: Tensor, length: Tensor, axis_ratio: Tensor) -> Tensor:
    r"""Returns a thin exponential disk of unit flux.

    .. math:: I(R) = \frac{\exp(-R / h)}{2 \pi \, q \, h^2}

    References:
        | On the Disks of Spiral and S0 Galaxies (Freeman, 1970)
        | https://doi.org/10.1086/150474
    """

    return torch.exp(-radius / length) / (2 * math.pi * axis_ratio * length**2)


def edge_on_disk(x: Tensor, z: Tensor, length: Tensor, height: Tensor) -> Tensor:
    r"""Returns an exponential, isothermal disk of unit flux, seen from the side.

    .. math:: I(x, z) = \frac{1}{2 \pi h z_0} \, \frac{|x|}{h} K_1 \! \left( \frac{|x|}{h} \right)
        \operatorname{sech}^2 \! \left( \frac{z}{z_0} \right)

    References:
        | Surface photometry of edge-on spiral galaxies. I (van der Kruit & Searle, 1981)
        | https://ui.adsabs.harvard.edu/abs/1981A&A....95..105V

    Arguments:
        x: The distance along the disk.
        z: The distance from its plane.
        length: The scale length :math:`h`.
        height: The scale height :math:`z_0`.
    """

    s = (x.abs() / length).clamp(1e-4, 60.0)
    radial = s * torch.special.modified_bessel_k1(s)

    return radial / torch.cosh((z / height).clamp(-30, 30)) ** 2 / (2 * math.pi * length * height)


def spiral_ridge(
    radius: Tensor, azimuth: Tensor, count: Tensor, pitch: Tensor, start: Tensor, sharp: Tensor
) -> Tensor:
    r"""Returns how near a point is to a logarithmic spiral arm, from about 0 to 1.

    .. math:: \exp \left( \kappa \left[
        \cos m \left( \phi - \frac{\ln(R / R_0)}{\tan \alpha} \right) - 1 \right] \right)

    The azimuth of an arm grows outwards: where :math:`y` is up and arms trail, the galaxy turns
    clockwise.

    References:
        | Measurement of Galactic Logarithmic Spiral Arm Pitch Angle Using Two-Dimensional Fast
          Fourier Transform Decomposition (Davis et al., 2012)
        | https://arxiv.org/abs/1202.4780

    Arguments:
        radius: The radius :math:`R` in the plane of the disk.
        azimuth: The azimuth :math:`\phi` there, in radians.
        count: The number of arms :math:`m`.
        pitch: The pitch angle :math:`\alpha`, in radians; tight arms have small ones.
        start: The radius :math:`R_0` at which an arm has azimuth 0.
        sharp: The sharpness :math:`\kappa`.
    """

    phase = count * (azimuth - (radius.clamp(min=1e-3) / start).log() / pitch.tan())

    return torch.exp(sharp * (phase.cos() - 1))


def ferrers_bar(x: Tensor, y: Tensor, length: Tensor, width: Tensor) -> Tensor:
    r"""Returns a Ferrers bar of unit flux, sharply cut at its end.

    .. math:: I(x, y) = \frac{2}{\pi a b}
        \left( 1 - \frac{x^2}{a^2} - \frac{y^2}{b^2} \right)_+

    References:
        | Structure and Evolution of Barred Spiral Galaxies, I (Freeman, 1966)
        | https://doi.org/10.1093/mnras/133.1.47
    """

    inside = (1 - (x / length) ** 2 - (y / width) ** 2).clamp(min=0)

    return inside * 2 / (math.pi * length * width)


def ring(radius: Tensor, centre: Tensor, width: Tensor, axis_ratio: Tensor) -> Tensor:
    r"""Returns a ring of unit flux (if it is thin), Gaussian across.

    .. math:: I(R) \propto \exp \left( -\frac{(R - R_r)^2}{2 w^2} \right)
    """

    norm = (2 * math.pi) ** 1.5 * centre * width * axis_ratio

    return torch.exp(-0.5 * ((radius - centre) / width) ** 2) / norm


def blobs(x: Tensor, y: Tensor, cx: Tensor, cy: Tensor, sigma: Tensor, flux: Tensor) -> Tensor:
    r"""Returns the sum of round Gaussians: star-forming knots, pieces of a tail, stars.

    Arguments:
        x: The coordinate of the columns, with shape `(W)`.
        y: The coordinate of the rows, with shape `(H)`.
        cx: The centres in `x`, with shape `(B, M)`. Those in `y`, the widths and the fluxes
            have the same shape.

    Returns:
        The flux per unit of area, with shape `(B, H, W)`.
    """

    s = sigma.unsqueeze(-1)
    across = torch.exp(-0.5 * ((x - cx.unsqueeze(-1)) / s) ** 2)  # (B, M, W)
    along = torch.exp(-0.5 * ((y - cy.unsqueeze(-1)) / s) ** 2)  # (B, M, H)
    weight = (flux / (2 * math.pi * sigma**2)).unsqueeze(-1)

    return (along * weight).transpose(1, 2) @ across


def moffat(radius: Tensor, fwhm: Tensor, beta: Tensor) -> Tensor:
    r"""Returns a Moffat point-spread function of unit flux.

    .. math:: I(r) = \frac{\beta - 1}{\pi \alpha^2}
        \left( 1 + \frac{r^2}{\alpha^2} \right)^{-\beta}, \quad
        \alpha = \frac{\mathrm{FWHM}}{2 \sqrt{2^{1/\beta} - 1}}

    References:
        | A Theoretical Investigation of Focal Stellar Images (Moffat, 1969)
        | https://ui.adsabs.harvard.edu/abs/1969A&A.....3..455M
    """

    alpha = fwhm / (2 * (2 ** (1 / beta) - 1).sqrt())

    return (beta - 1) / (math.pi * alpha**2) * (1 + (radius / alpha) ** 2) ** -beta
