r"""Kills a stage at random moments, resumes it, and compares it with an undisturbed run.

To add a stage: write a module with a class like :class:`benchmarks.kills.torture.Stage`, and a
line in `STAGES`. A stage has a module of its own so that each process imports what it needs.
"""
