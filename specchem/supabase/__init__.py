"""What a Supabase project is set up with by Supabase's own command line."""
