r"""What a galaxy looks like, in numbers: all that statmorph measures, and more.

Pure functions of arrays, one module per statistic, useful in a notebook on their own.
"""

__all__ = ["FLAGS", "MEASURED", "MODES", "Morphology", "Sky", "measure", "names"]

from pipeline.morphometry.flags import FLAGS, names
from pipeline.morphometry.known import MEASURED, Sky
from pipeline.morphometry.measure import MODES, measure
from pipeline.morphometry.morphology import Morphology
