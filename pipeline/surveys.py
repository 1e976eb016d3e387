r"""What a camera and a release fix: bands, pixel scale, zero points, names of files."""

__all__ = ["SURVEYS", "Survey"]

from dataclasses import dataclass


@dataclass(frozen=True)
class Survey:
    r"""One survey.

    Arguments:
        name: Its name.
        bands: Its bands in the order of wavelength, from blue to red.
        pixel_scale: The side of a pixel, in arcsec.
        zero_points: The AB magnitude of one unit of flux in each band. Empty where that changes
            from image to image.
        pattern: The usual place of a file below the folder of images.
        band_text: What stands for a band in file names, where it is not its own name.
        cutout_url: Where a cutout service hands out an image, with places for `{ra}` and `{dec}`
            in degrees, `{width}` in pixels, `{scale}` in arcsec per pixel and `{bands}`. Empty if
            there is none.
    """

    name: str
    bands: tuple[str, ...]
    pixel_scale: float
    zero_points: tuple[float, ...] = ()
    pattern: str = "{id}.fits"
    band_text: tuple[tuple[str, str], ...] = ()
    cutout_url: str = ""


_SKYSERVER = "https://skyserver.sdss.org/dr18/SkyServerWS/ImgCutout/getjpeg"
_LEGACY = "https://www.legacysurvey.org/viewer/fits-cutout"

SURVEYS: dict[str, Survey] = {
    survey.name: survey
    for survey in (
        Survey("simulated", ("g", "r", "i", "z"), 0.4, (22.5,) * 4),
        Survey(
            "sdss",
            ("u", "g", "r", "i", "z"),
            0.396,
            (22.5,) * 5,
            pattern="frame-{band}-*.fits.bz2",
            cutout_url=f"{_SKYSERVER}?ra={{ra}}&dec={{dec}}&scale={{scale}}&width={{width}}",
        ),
        Survey(
            "gz1",
            ("g", "r", "i"),
            0.396,
            pattern="images/{id}.jpeg",
            cutout_url=f"{_SKYSERVER}?ra={{ra}}&dec={{dec}}&scale={{scale}}&width={{width}}",
        ),
        Survey(
            "decals",
            ("g", "r", "z"),
            0.262,
            (22.5,) * 3,
            cutout_url=f"{_LEGACY}?ra={{ra}}&dec={{dec}}&layer=ls-dr10&pixscale={{scale}}"
            "&bands={bands}&size={width}",
        ),
        Survey("aegis", ("v", "i"), 0.03, pattern="cutouts/{id}.acs.{band}_6ac_.fits"),
        Survey(
            "dss2",
            ("blue", "red", "ir"),
            1.0,
            pattern="{id}/*_{band}.fits",
            band_text=(("blue", "dss2blue"), ("red", "dss2red"), ("ir", "dss2ir")),
        ),
    )
}
r"""The surveys by name."""
