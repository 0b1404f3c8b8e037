"""The test runner: tiers, results, lint."""
