"""The golden model's wire side: frames, captures, impairments.

Knows Ethernet, IPv4 and TCP formats and nothing else: no connection, no device, no NDIS.
"""
