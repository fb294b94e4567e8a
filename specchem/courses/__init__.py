"""Courses and their content."""
