"""Heads that use all queries of a task together: a prediction depends on the other queries."""
