"""Peers at the far end of the wire. They import nothing from `model/`: an error there must not hide here."""
