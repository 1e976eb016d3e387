r"""From survey files to a morphology catalogue."""
