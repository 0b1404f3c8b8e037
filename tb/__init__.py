"""Co-simulation: transactors, simulators, agents, tests, and the commands behind `make`."""
