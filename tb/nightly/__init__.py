"""The acceptance numbers as one list, and what runs them one after the other (`make nightly`)."""
