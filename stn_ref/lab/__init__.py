"""Measurements with the package: experiments, their results, speed, and descriptions of the machine."""
