"""The simulator layer: find, build, run; records and the proxies of the transactors."""
