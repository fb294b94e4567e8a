"""People, their plants and their roles."""
