"""What the runs have exercised: bins of behaviour, lines and signals of the RTL (docs/coverage.md)."""
