"""Processes of a dSSM cluster on loopback: used by `make run`, the benchmarks and the integration tests.

Python's standard library only, so that `make run` needs nothing but Python itself.
"""
