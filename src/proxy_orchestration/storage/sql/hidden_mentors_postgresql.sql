-- Who is hidden now because a certificate is lapsed, for a host's own queries on PostgreSQL and on Supabase.
--
-- Run it as the owner of the tables, after create_schema; to run it again changes nothing.
-- There is no percent sign in it, so that every driver takes it as it is.

create or replace view hidden_mentors as
  select mentor_id, min(ends_at) as ended_at
  from mentor_visibility
  where ends_at <= now() and (restored_at is null or ends_at > restored_at)
  group by mentor_id;

-- The view reads with the owner's rights, which forced row-level security does not lend to clients otherwise.
do $$
declare
  relation regclass := to_regclass('mentor_visibility');
  owner text := (select quote_ident(pg_get_userbyid(relowner)) from pg_class where oid = relation);
begin
  execute 'drop policy if exists hidden_mentors on ' || relation;
  execute 'create policy hidden_mentors on ' || relation || ' for select to ' || owner
    || ' using (ends_at <= now() and (restored_at is null or ends_at > restored_at))';
end
$$;
