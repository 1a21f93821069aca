"""Inspect a data set before training: sizes, classes and a contact sheet."""
