"""The contract plan: duties, scenarios that exercise them, and what came of it."""
