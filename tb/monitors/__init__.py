"""Monitors: rules that must hold on the wire and at the host port, stated apart from model and peers."""
