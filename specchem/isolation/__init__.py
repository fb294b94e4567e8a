"""Who may do what, tried against the database itself: the proof that a plant never sees another's people."""
