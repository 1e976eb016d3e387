r"""Images in and out of FITS files and colour composites.

Past this folder nobody sees an HDU: only a :class:`Frame`, with native-endian pixels, a
header that is a plain mapping, and sky coordinates. Axes follow NumPy, `(H, W)`, so `NAXIS1`
is the last one.

References:
    | Definition of the Flexible Image Transport System, version 4.0 (IAU FWG, 2018)
    | https://fits.gsfc.nasa.gov/fits_standard.html
"""

__all__ = [
    "FitsFile",
    "Frame",
    "Value",
    "header_bytes",
    "read_composite",
    "read_frame",
    "write_extensions",
    "write_image",
]

from pipeline.fits.cards import Value, header_bytes
from pipeline.fits.composite import read_composite
from pipeline.fits.frame import Frame
from pipeline.fits.reader import FitsFile, read_frame
from pipeline.fits.writer import write_extensions, write_image
