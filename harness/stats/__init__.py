"""Pure functions of arrays: intervals, tests, distances, fronts. No files, no torch; scipy is imported when needed."""
