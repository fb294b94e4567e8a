-- The server logs in as a role that owns nothing, bypasses nothing and can become nobody but a client.
-- A page of its own: a backup holds no roles, so a restore runs it as well.
do $$
begin
    if not exists (select from pg_roles where rolname = 'specchem_api') then
        create role specchem_api login noinherit;
    end if;
    grant anon, authenticated to specchem_api;
end $$;
