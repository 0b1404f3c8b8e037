"""The farm: jobs as isolated processes on many workers, each ending exactly once (docs/regression.md)."""
