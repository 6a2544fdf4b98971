"""Measurements with the package: experiments, their results, speed, and what they were measured on."""
