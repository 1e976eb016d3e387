r"""Why a measurement is not to be trusted, as bits with names."""

__all__ = ["FLAGS", "NOTHING", "STRUCTURE", "names"]

FLAGS = (
    "no_source",
    "edge",
    "masked_centre",
    "centre_drifted",
    "no_sky",
    "radius_not_reached",
    "fit_at_bound",
    "fit_failed",
    "low_signal",
    "several_pieces",
    "negative_flux",
    "undefined",
    "off_centre",
    "blended",
    "no_bar",
    "no_arms",
    "no_twist",
)
r"""The names of the bits, from the lowest on."""

NO_SOURCE = 1 << 0  # no pixel belongs to the target
EDGE = 1 << 1  # the target, its outline or a tenth of 1.5 Petrosian ellipses reach over the edge
MASKED_CENTRE = 1 << 2  # the centre of the target is masked
CENTRE_DRIFTED = 1 << 3  # the centre of symmetry is not where the light is
NO_SKY = 1 << 4  # no empty sky to measure, it has no noise, or its level is not zero
RADIUS_NOT_REACHED = 1 << 5  # the profile does not fall to the Petrosian ratio, or starts below it
FIT_AT_BOUND = 1 << 6  # a parameter of the Sersic fit is at its limit
FIT_FAILED = 1 << 7  # the Sersic fit did not converge
LOW_SIGNAL = 1 << 8  # the signal, a S/N per pixel of 2.5 first of all, is less than needed
SEVERAL_PIECES = 1 << 9  # what should be one piece is several
NEGATIVE_FLUX = 1 << 10  # the total flux is not positive
UNDEFINED = 1 << 11  # a statistic has no value
OFF_CENTRE = 1 << 12  # the target is not where it was looked for
BLENDED = 1 << 13  # the target touches a neighbour that it was told from
NO_BAR = 1 << 14  # m = 2 is below four standard errors, weak or short, or does not end
NO_ARMS = 1 << 15  # the winding is below three standard errors, or the arms are faint
NO_TWIST = 1 << 16  # the twist of the isophotes is below three standard errors

STRUCTURE = NO_BAR | NO_ARMS | NO_TWIST
r"""What a galaxy may well lack: these bits say nothing against its other statistics."""

NOTHING = NO_SOURCE | FIT_FAILED | LOW_SIGNAL | UNDEFINED | STRUCTURE
r"""What is told where there is no target: none of its statistics has a value."""


def names(bits: float) -> tuple[str, ...]:
    r"""Returns the names of the bits that are set, of a number of any type.

    Example:
        >>> names(EDGE | NO_SKY)
        ('edge', 'no_sky')
    """

    bits = int(bits)

    return tuple(name for i, name in enumerate(FLAGS) if bits >> i & 1)
