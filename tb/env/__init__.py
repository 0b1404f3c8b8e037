"""The UVM environment of the RTL: agents, sequences, scoreboard, base test."""
