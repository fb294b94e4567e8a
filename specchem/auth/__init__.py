"""Who you are: accounts, tokens and the guard of the doors."""
