"""Pure functions of arrays: intervals, tests, distances, fronts. scipy is imported when needed."""
