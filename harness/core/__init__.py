"""Typed records, errors and units: no torch, no files, no clocks."""
