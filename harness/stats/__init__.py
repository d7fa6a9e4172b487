"""Pure functions of arrays: intervals, tests, distances, fronts. No files, no torch.

Scipy is imported when needed.
"""
