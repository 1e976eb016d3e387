r"""What may be odd about an input that is used all the same."""

__all__ = ["FLAGS"]

FLAGS = {
    "band_missing": "a band covers less than half of the cutout, or is constant",
    "bright_neighbour": (
        "another source is brighter than the target, or lights up a tenth of the border from"
        " beyond it"
    ),
    "clipped": "a pixel is so far from the sky that it is cut off there",
    "edge": "a band covers less than 98 % of the cutout",
    "eight_bit": "a picture with values of 8 bits, of which no flux can be measured",
    "low_signal": "no source stands out in the sum of all bands",
    "not_in_table": "the table has no row of it",
    "off_centre": (
        "no source is within 12 % of the side from the centre, the centroid of the one there is"
        " further from it than 25 %, or the table places it outside"
    ),
    "saturated": "a band has a plateau at its top",
    "unknown_label": "its label in the table is none of the classes",
}
r"""The flags of a manifest and of a catalogue, and what each means."""
