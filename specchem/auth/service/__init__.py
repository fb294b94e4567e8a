"""The local auth service: Supabase Auth's language over schema auth, for whoever has no Supabase."""
