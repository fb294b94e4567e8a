"""What every table, policy, function, view and index of ours keeps to; each rule finds what breaks it."""

from specchem.db.session import Connection

OURS = "n.nspname in ('public', 'app', 'specchem')"
CLIENTS = "array['anon', 'authenticated', 'service_role', 'specchem_api']::regrole[]"
# Indexes that another one could stand in for, and why they are kept.
KEPT = {"admin_roles_user_id_idx": "the guide names it"}

LINTS: dict[str, str] = {
    "row security is on and forced on every table of the exposed schema": """
        select c.oid::regclass::text from pg_class c join pg_namespace n on n.oid = c.relnamespace
        where n.nspname = 'public' and c.relkind in ('r', 'p') and not (c.relrowsecurity and c.relforcerowsecurity)""",
    "a table has one permissive policy for an action, for signed-in people alone": """
        select p.tablename || '.' || p.policyname from (
            select *, count(*) over (partition by schemaname, tablename, cmd) as alike from pg_policies
            where schemaname in ('public', 'app', 'specchem') and policyname <> 'needs_second_factor') as p
        where p.alike > 1 or p.cmd = 'ALL' or p.permissive <> 'PERMISSIVE' or p.roles <> '{authenticated}'""",
    "half a sign-in opens no table of the exposed schema": """
        select c.oid::regclass::text from pg_class c join pg_namespace n on n.oid = c.relnamespace
        where n.nspname = 'public' and c.relkind in ('r', 'p') and not exists (
            select from pg_policies p where p.schemaname = n.nspname and p.tablename = c.relname
            and p.policyname = 'needs_second_factor' and p.permissive = 'RESTRICTIVE' and p.cmd = 'ALL'
            and p.roles = '{authenticated}' and p.with_check is null
            and p.qual = '( SELECT app.has_shown_enough() AS has_shown_enough)')""",
    "a policy asks its helpers once for each statement: (select app.me())": """
        select p.tablename || '.' || p.policyname from pg_policies p
        cross join concat(p.qual, p.with_check) as e (text)
        where p.schemaname = 'public'
        and regexp_count(e.text, '(app|auth)\\.\\w+\\(')
            <> regexp_count(e.text, '\\( SELECT (app|auth)\\.\\w+\\(')""",
    "no policy lets everybody in": """
        select p.tablename || '.' || p.policyname from pg_policies p
        where p.schemaname = 'public' and 'true' in (p.qual, p.with_check)""",
    "an index begins with the columns of every foreign key": f"""
        select c.conname::text from pg_constraint c join pg_namespace n on n.oid = c.connamespace
        where c.contype = 'f' and {OURS} and not exists (
            select from pg_index i where i.indrelid = c.conrelid and i.indpred is null and i.indisvalid
            -- Of two columns the person's is enough: they have few rows each.
            and (i.indkey::int2[])[0] = any(c.conkey)
            and ((i.indkey::int2[])[0:cardinality(c.conkey) - 1] @> c.conkey or c.conname like '%_user_plant_fkey'))""",
    "every function has a fixed search path that ends in pg_temp": f"""
        select p.oid::regprocedure::text from pg_proc p join pg_namespace n on n.oid = p.pronamespace
        where {OURS}
        and 'search_path=pg_catalog, pg_temp' <> all(coalesce(p.proconfig, '{{}}'))""",
    "nobody may call a function for being PUBLIC": f"""
        select p.oid::regprocedure::text from pg_proc p join pg_namespace n on n.oid = p.pronamespace
        where {OURS}
        and exists (select from aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a where a.grantee = 0)""",
    "no security definer stands in an exposed schema": """
        select p.oid::regprocedure::text from pg_proc p
        where p.prosecdef and p.pronamespace = 'public'::regnamespace""",
    "a view looks with the caller's eyes": f"""
        select c.oid::regclass::text from pg_class c join pg_namespace n on n.oid = c.relnamespace
        where {OURS} and (
            c.relkind = 'm'
            or (c.relkind = 'v' and 'security_invoker=true' <> all(coalesce(c.reloptions, '{{}}'))))""",
    "clients have no right that row security does not cover": f"""
        select c.oid::regclass::text || ': ' || a.privilege_type
        from pg_class c join pg_namespace n on n.oid = c.relnamespace cross join aclexplode(c.relacl) a
        where {OURS} and c.relkind <> 'i'
        and (a.grantee = 0 or a.grantee = any({CLIENTS}))
        and (a.grantee = 0 or a.privilege_type not in ('SELECT', 'INSERT', 'UPDATE', 'DELETE'))""",
    "nothing made later in our own schemas is a client's by default": f"""
        select d.defaclnamespace::regnamespace::text || ' ' || d.defaclobjtype::text
        from pg_default_acl d cross join aclexplode(d.defaclacl) a
        where d.defaclnamespace in ('app'::regnamespace, 'specchem'::regnamespace)
        and (a.grantee = 0 or a.grantee = any({CLIENTS}))""",
    "clients make nothing in our schemas": f"""
        select n.nspname::text || ': ' || a.grantee::regrole::text
        from pg_namespace n cross join aclexplode(n.nspacl) a
        where {OURS} and a.privilege_type = 'CREATE'
        and (a.grantee = 0 or a.grantee = any({CLIENTS}))""",
    "the login of the requests owns nothing and bypasses nothing": """
        select r.rolname::text from pg_roles r where r.rolname = 'specchem_api'
        and (r.rolsuper or r.rolinherit or r.rolcreaterole or r.rolcreatedb or r.rolreplication or r.rolbypassrls
            or exists (select from pg_shdepend d where d.refobjid = r.oid and d.deptype = 'o')
            or array['anon', 'authenticated']::text[] <> (
                select array_agg(distinct g.rolname::text order by g.rolname::text) from pg_auth_members m
                join pg_roles g on g.oid = m.roleid where m.member = r.oid))""",
    "no index is invalid, or stands in for another's beginning": f"""
        select c.relname::text from pg_index i join pg_class c on c.oid = i.indexrelid
        join pg_namespace n on n.oid = c.relnamespace
        where {OURS} and c.relname <> all('{{{",".join(KEPT)}}}')
        and (not i.indisvalid or (not i.indisunique and i.indexprs is null and exists (
            select from pg_index o where o.indrelid = i.indrelid and o.indexrelid <> i.indexrelid
            and o.indexprs is null and o.indpred::text is not distinct from i.indpred::text
            and (o.indkey::int2[])[0:i.indnkeyatts - 1] = (i.indkey::int2[])[0:i.indnkeyatts - 1]
            and (o.indoption::int2[])[0:i.indnkeyatts - 1] = (i.indoption::int2[])[0:i.indnkeyatts - 1])))""",
}


async def broken_by(connection: Connection, lint: str) -> list[str]:
    """What breaks this rule."""
    return [row[0] for row in await connection.fetch(f"{LINTS[lint]} order by 1")]


async def broken(connection: Connection) -> list[str]:
    """Everything that breaks a rule, as sentences."""
    return [f"{lint}: not {what}" for lint in LINTS for what in await broken_by(connection, lint)]
