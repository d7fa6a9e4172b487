"""The nightly: measure, add to the history, detect changes, measure again once, report."""
