"""Measurements: ratios taken in turn in one run, with their spread.

A rate is of the machine and of who else is on it; the ratio to a floor of the same run is of the program. So read
the ratios, then their spread: where strangers were busy meanwhile, which each run tells, read those by processor time.
"""
