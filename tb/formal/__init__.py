"""Proofs of the protocol checkers and the small blocks (`make formal`, docs/formal.md)."""
