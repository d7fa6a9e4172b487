"""Clocks, memory, stages and the machine: how a figure is taken."""
