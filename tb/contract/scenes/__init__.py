"""Scenes that make rules of the contract come true which ordinary sessions never touch, one module a section."""
