r"""From survey files to a morphology catalogue."""

__version__ = "0.1.0"
