"""A matrix over many nights: its history, changes of level, and their causes."""
