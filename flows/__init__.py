r"""Prefect flows and the command line; no science."""
