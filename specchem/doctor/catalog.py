"""Everything that we make in a database, as its catalog describes it: what two of them are compared by."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import asyncpg

from specchem.db.session import Connection
from specchem.isolation.lints import OURS

OWNER = "the owner"
# Whatever an extension brought is the extension's.
NOT_BROUGHT = "not exists (select from pg_depend e where e.deptype = 'e' and e.classid = {} and e.objid = {})"


@dataclass(frozen=True)
class Thing:
    """One object: its name in words, what there is to say of it, and the SQL that makes it or removes it."""

    kind: str
    words: str
    facets: dict[str, str]
    make: str = ""
    drop: str = ""
    # What it stands or falls with, in words.
    rests_on: frozenset[str] = frozenset()
    # For a grant: the object, the grantee, and the right.
    grant: tuple[str, str, str] | None = None


@dataclass(frozen=True)
class Catalog:
    """All things by their words, and which role owns them."""

    owner: str
    things: dict[str, Thing] = field(default_factory=dict)


# Each gives: address in pg_depend, words, facets, make, drop. A facet's name is what a sentence calls it.
QUERIES: dict[str, str] = {
    "schema": f"""
        select 'pg_namespace'::regclass::oid as class, n.oid, 0 as sub, 'schema ' || n.nspname as words,
            jsonb_build_object('owner', pg_get_userbyid(n.nspowner)) as facets, '' as make, '' as drop
        from pg_namespace n where {OURS}""",
    "table": f"""
        select 'pg_class'::regclass::oid as class, c.oid, 0 as sub,
            case c.relkind when 'S' then 'sequence ' when 'f' then 'foreign table ' else 'table ' end
                || c.oid::regclass as words,
            jsonb_build_object(
                'owner', pg_get_userbyid(c.relowner),
                'row security', case when c.relrowsecurity then 'on' else 'off' end,
                'row security of its owner', case when c.relforcerowsecurity then 'forced' else 'not forced' end,
                'persistence', case c.relpersistence when 'u' then 'unlogged' else 'logged' end) as facets,
            '' as make, '' as drop
        from pg_class c join pg_namespace n on n.oid = c.relnamespace
        where {OURS} and c.relkind in ('r', 'p', 'f', 'S') and {NOT_BROUGHT.format("'pg_class'::regclass", "c.oid")}""",
    "column": f"""
        select 'pg_class'::regclass::oid as class, c.oid, a.attnum::integer as sub,
            'column ' || c.oid::regclass || '.' || quote_ident(a.attname) as words,
            jsonb_build_object(
                'type', format_type(a.atttypid, a.atttypmod),
                'nullability', case when a.attnotnull then 'not null' else 'nullable' end,
                'default', coalesce(pg_get_expr(d.adbin, d.adrelid), 'none'),
                'generation', a.attgenerated::text || a.attidentity::text,
                'statistics', case when a.attstattarget = 0 then 'none' else 'kept' end) as facets,
            format('alter table %s add column %I %s', c.oid::regclass, a.attname, format_type(a.atttypid, a.atttypmod))
                || coalesce(' default ' || pg_get_expr(d.adbin, d.adrelid), '')
                || case when a.attnotnull then ' not null' else '' end as make,
            format('alter table %s drop column %I', c.oid::regclass, a.attname) as drop
        from pg_class c join pg_namespace n on n.oid = c.relnamespace
        join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
        left join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum
        where {OURS} and c.relkind in ('r', 'p')""",
    # Of type n is what PostgreSQL 18 writes down of each column that is not null; the column says it already.
    "constraint": f"""
        select 'pg_constraint'::regclass::oid as class, k.oid, 0 as sub,
            'constraint ' || quote_ident(k.conname) || ' of ' || k.conrelid::regclass as words,
            jsonb_build_object(
                'definition', regexp_replace(pg_get_constraintdef(k.oid), ' NOT VALID$', ''),
                'validity', case when k.convalidated and coalesce(i.indisvalid and i.indisready, true)
                    then 'valid' else 'invalid' end) as facets,
            format('alter table %s add constraint %I %s', k.conrelid::regclass, k.conname, pg_get_constraintdef(k.oid))
                as make,
            format('alter table %s drop constraint %I', k.conrelid::regclass, k.conname) as drop
        from pg_constraint k join pg_class c on c.oid = k.conrelid join pg_namespace n on n.oid = c.relnamespace
        left join pg_index i on i.indexrelid = k.conindid and k.contype in ('p', 'u', 'x')
        where {OURS} and k.contype in ('c', 'f', 'p', 'u', 'x')""",
    "index": f"""
        select 'pg_class'::regclass::oid as class, i.indexrelid as oid, 0 as sub,
            'index ' || i.indexrelid::regclass as words,
            jsonb_build_object(
                'definition', pg_get_indexdef(i.indexrelid),
                'validity', case when i.indisvalid and i.indisready then 'valid' else 'invalid' end,
                'statistics', (select string_agg((a.attstattarget = 0 and a.attstattarget is not null)::text, ' '
                    order by a.attnum) from pg_attribute a where a.attrelid = i.indexrelid)) as facets,
            pg_get_indexdef(i.indexrelid) as make, format('drop index %s', i.indexrelid::regclass) as drop
        from pg_index i join pg_class c on c.oid = i.indrelid join pg_namespace n on n.oid = c.relnamespace
        where {OURS} and not exists (
            select from pg_constraint k where k.conindid = i.indexrelid and k.contype in ('p', 'u', 'x'))""",
    "policy": f"""
        select 'pg_policy'::regclass::oid as class, p.oid, 0 as sub,
            'policy ' || quote_ident(p.polname) || ' on ' || p.polrelid::regclass as words,
            jsonb_build_object(
                'kind', case when p.polpermissive then 'permissive' else 'restrictive' end,
                'action', p.polcmd::text,
                'roles', (select string_agg(case r.oid when 0 then 'public' else r.oid::regrole::text end, ', '
                    order by r.oid::regrole::text) from unnest(p.polroles) as r (oid)),
                'condition', coalesce(pg_get_expr(p.polqual, p.polrelid), ''),
                'check', coalesce(pg_get_expr(p.polwithcheck, p.polrelid), '')) as facets,
            '' as make, format('drop policy %I on %s', p.polname, p.polrelid::regclass) as drop
        from pg_policy p join pg_class c on c.oid = p.polrelid join pg_namespace n on n.oid = c.relnamespace
        where {OURS}""",
    # Others' triggers on accounts are theirs, as long as they call nothing of ours.
    "trigger": f"""
        select 'pg_trigger'::regclass::oid as class, t.oid, 0 as sub,
            'trigger ' || quote_ident(t.tgname) || ' on ' || t.tgrelid::regclass as words,
            jsonb_build_object(
                'definition', pg_get_triggerdef(t.oid),
                'working', case t.tgenabled when 'O' then 'always' when 'D' then 'disabled'
                    else 'on replication ' || t.tgenabled::text end) as facets,
            '' as make, format('drop trigger %I on %s', t.tgname, t.tgrelid::regclass) as drop
        from pg_trigger t join pg_class c on c.oid = t.tgrelid join pg_namespace n on n.oid = c.relnamespace
        join pg_proc f on f.oid = t.tgfoid
        where not t.tgisinternal
        and ({OURS} or (n.nspname = 'auth' and f.pronamespace = to_regnamespace('app')))""",
    "rule": f"""
        select 'pg_rewrite'::regclass::oid as class, r.oid, 0 as sub,
            'rule ' || quote_ident(r.rulename) || ' on ' || r.ev_class::regclass as words,
            jsonb_build_object('definition', pg_get_ruledef(r.oid)) as facets, '' as make,
            format('drop rule %I on %s', r.rulename, r.ev_class::regclass) as drop
        from pg_rewrite r join pg_class c on c.oid = r.ev_class join pg_namespace n on n.oid = c.relnamespace
        where {OURS} and r.rulename <> '_RETURN'""",
    "view": f"""
        select 'pg_class'::regclass::oid as class, c.oid, 0 as sub,
            case c.relkind when 'm' then 'materialized view ' else 'view ' end || c.oid::regclass as words,
            jsonb_build_object(
                'owner', pg_get_userbyid(c.relowner),
                'definition', pg_get_viewdef(c.oid),
                'eyes', case when 'security_invoker=true' = any(c.reloptions) then 'the caller''s'
                    else 'the owner''s' end) as facets, '' as make, format('drop view %s', c.oid::regclass) as drop
        from pg_class c join pg_namespace n on n.oid = c.relnamespace
        where {OURS} and c.relkind in ('v', 'm') and {NOT_BROUGHT.format("'pg_class'::regclass", "c.oid")}""",
    "function": f"""
        select 'pg_proc'::regclass::oid as class, p.oid, 0 as sub, 'function ' || p.oid::regprocedure as words,
            jsonb_build_object(
                'owner', pg_get_userbyid(p.proowner), 'body', p.prosrc, 'language', l.lanname,
                'eyes', case when p.prosecdef then 'the owner''s' else 'the caller''s' end,
                'settings', coalesce(array_to_string(p.proconfig, '; '), 'none'),
                'arguments', pg_get_function_arguments(p.oid), 'result', pg_get_function_result(p.oid),
                'volatility', case p.provolatile when 'i' then 'immutable' when 's' then 'stable' else 'volatile' end,
                'cost to the planner', concat(p.proisstrict, p.proparallel, p.proleakproof, p.prokind)) as facets,
            '' as make, format('drop function %s', p.oid::regprocedure) as drop
        from pg_proc p join pg_namespace n on n.oid = p.pronamespace join pg_language l on l.oid = p.prolang
        where {OURS} and {NOT_BROUGHT.format("'pg_proc'::regclass", "p.oid")}""",
    "type": f"""
        select 'pg_type'::regclass::oid as class, t.oid, 0 as sub, 'type ' || t.oid::regtype as words,
            jsonb_build_object(
                'owner', pg_get_userbyid(t.typowner),
                'values', (select string_agg(e.enumlabel, ', ' order by e.enumsortorder)
                    from pg_enum e where e.enumtypid = t.oid)) as facets,
            '' as make, format('drop type %s', t.oid::regtype) as drop
        from pg_type t join pg_namespace n on n.oid = t.typnamespace
        where {OURS} and t.typtype in ('e', 'd', 'r') and {NOT_BROUGHT.format("'pg_type'::regclass", "t.oid")}""",
}
# Rights that are held on a thing, besides its owner's.
RIGHTS = f"""
    select * from (
        select 'schema ' || n.nspname as thing, n.nspname::text as name, 'schema' as what, null::text as column,
            n.nspowner as owner, a.grantee, a.privilege_type as right, a.is_grantable
        from pg_namespace n cross join aclexplode(n.nspacl) a where {OURS}
        union all
        select case c.relkind when 'v' then 'view ' when 'm' then 'materialized view ' when 'S' then 'sequence '
                when 'f' then 'foreign table ' else 'table ' end || c.oid::regclass,
            c.oid::regclass::text, '', null, c.relowner, a.grantee, a.privilege_type, a.is_grantable
        from pg_class c join pg_namespace n on n.oid = c.relnamespace cross join aclexplode(c.relacl) a
        where {OURS} and {NOT_BROUGHT.format("'pg_class'::regclass", "c.oid")}
        union all
        select 'column ' || c.oid::regclass || '.' || quote_ident(t.attname), c.oid::regclass::text, '',
            quote_ident(t.attname), c.relowner, a.grantee, a.privilege_type, a.is_grantable
        from pg_class c join pg_namespace n on n.oid = c.relnamespace
        join pg_attribute t on t.attrelid = c.oid and not t.attisdropped cross join aclexplode(t.attacl) a where {OURS}
        union all
        select 'function ' || p.oid::regprocedure, p.oid::regprocedure::text, 'function', null, p.proowner, a.grantee,
            a.privilege_type, a.is_grantable
        from pg_proc p join pg_namespace n on n.oid = p.pronamespace
        cross join aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
        where {OURS} and {NOT_BROUGHT.format("'pg_proc'::regclass", "p.oid")}
        union all
        -- Of what is made later in schema public, Supabase gives its three roles more or less, as it is older or newer.
        select 'schema ' || n.nspname, n.nspname::text, 'what is made later in schema', d.defaclobjtype::text,
            d.defaclrole, a.grantee, a.privilege_type, a.is_grantable
        from pg_default_acl d join pg_namespace n on n.oid = d.defaclnamespace cross join aclexplode(d.defaclacl) a
        where {OURS} and (n.nspname <> 'public' or coalesce(a.grantee::regrole::text, '-')
            not in ('anon', 'authenticated', 'service_role', 'postgres'))
    ) as r where r.grantee <> r.owner"""
DEPENDS = """
    select d.classid as class, d.objid as oid, d.objsubid as sub,
        d.refclassid as ref_class, d.refobjid as ref_oid, d.refobjsubid as ref_sub, w.ev_class as view
    from pg_depend d left join pg_rewrite w
        on d.classid = 'pg_rewrite'::regclass and w.oid = d.objid and w.rulename = '_RETURN'
    where d.deptype in ('n', 'a', 'i') and d.objid >= 16384"""
Address = tuple[int, int, int]


async def read(connection: Connection) -> Catalog:
    """What stands in this database."""
    async with connection.transaction():
        # So that every name is written out, whatever the search path of whoever asks.
        before = await connection.fetchval("select current_setting('search_path')")
        await connection.execute("set local search_path = pg_catalog")
        found = {kind: await connection.fetch(sql) for kind, sql in QUERIES.items()}
        rights = await connection.fetch(RIGHTS)
        depends = await connection.fetch(DEPENDS)
        roles = {
            row["oid"]: row["rolname"] for row in await connection.fetch("select oid, rolname from pg_roles")
        }
        await connection.execute("select set_config('search_path', $1, true)", before)
        # Schema public belongs to whoever owns the database, as the platform or a superuser made it.
        whose = {
            "pg_database_owner",
            await connection.fetchval(
                "select datdba::regrole::text from pg_database where datname = current_database()"
            ),
        }
    owner = _most_frequent(row["facets"]["owner"] for row in found["table"])
    things: dict[str, Thing] = {}
    at: dict[Address, str] = {}
    for kind, rows in found.items():
        for row in rows:
            at[row["class"], row["oid"], row["sub"]] = row["words"]
            facets = {name: str(value) for name, value in row["facets"].items()}
            ours = {owner, *(whose if row["words"] == "schema public" else ())}
            if facets.get("owner") in ours:
                facets["owner"] = OWNER
            things[row["words"]] = Thing(kind, row["words"], facets, row["make"], row["drop"])
    for words, rests_on in _rests_on(depends, at).items():
        things[words] = replace(things[words], rests_on=frozenset(rests_on))
    for grant in _grants(rights, roles, owner):
        things[grant.words] = grant
    return Catalog(owner, things)


def _most_frequent(owners: Iterable[str]) -> str:
    named = list(owners)
    return max(set(named), key=named.count, default="")


def _rests_on(depends: list[asyncpg.Record], at: dict[Address, str]) -> dict[str, set[str]]:
    """What would go with what: as PostgreSQL knows it, and each column with its table."""
    found: dict[str, set[str]] = {}
    view_class = {
        address[1]: address[0] for address, words in at.items() if words.startswith(("view ", "mat"))
    }
    for row in depends:
        here = (row["class"], row["oid"], row["sub"])
        if row["view"] in view_class:
            here = (view_class[row["view"]], row["view"], 0)
        there = (row["ref_class"], row["ref_oid"], row["ref_sub"])
        if here in at and there in at and at[here] != at[there]:
            found.setdefault(at[here], set()).add(at[there])
    for (kind, oid, sub), words in at.items():
        if sub:
            found.setdefault(words, set()).add(at[kind, oid, 0])
    return found


def _grants(rights: list[asyncpg.Record], roles: dict[int, str], owner: str) -> Iterable[Thing]:
    for row in rights:
        to = roles.get(row["grantee"], "PUBLIC")
        if to == owner:
            continue
        right = row["right"] + (f" ({row['column']})" if row["column"] else "")
        on = f"{row['what']} {row['name']}".strip()
        for held in (right, f"{right} with grant option") if row["is_grantable"] else (right,):
            yield Thing(
                "grant", f"grant of {held} on {on} to {to}", {}, rests_on=frozenset({row["thing"]}),
                drop="" if "later" in on else f"revoke {right} on {on} from {to}", grant=(on, to, held),
            )  # fmt: skip
