"""Published claims, lined up with what a run measured."""
