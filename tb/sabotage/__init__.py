"""Checks of the checker: one-line errors put into the design on purpose, and which judge sees each first."""
