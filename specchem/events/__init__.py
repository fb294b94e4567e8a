"""What learners answered and did; added, never changed."""
