r"""Catalogues: tables of galaxies, in and out, joined on the sky."""

__all__ = [
    "Column",
    "Places",
    "concatenate",
    "contents",
    "in_parts",
    "match_positions",
    "read_table",
    "write_table",
]

from pipeline.catalogue.formats import Column
from pipeline.catalogue.matching import Places, match_positions
from pipeline.catalogue.parts import contents, in_parts
from pipeline.catalogue.reading import read_table
from pipeline.catalogue.writing import concatenate, write_table
