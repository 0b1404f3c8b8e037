"""The NDIS chimney contract as monitors: CH rules and G decisions watched in every run, apart from model and driver."""
