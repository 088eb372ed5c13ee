-- Row-level security for the tables of proxy-orchestration, on PostgreSQL and on Supabase.
--
-- Run it in one transaction, as the owner of the tables, after create_schema and
-- again after every upgrade of the library: whatever it made before, it makes anew.
-- There is no percent sign in it, so that every driver takes it as it is.

create schema if not exists proxy_orchestration_auth;
grant usage on schema proxy_orchestration_auth to public;

-- Whoever runs this: the schema belongs to the owner of the tables, who serves.
do $$
begin
  if to_regclass('activities') is not null then
    execute 'alter schema proxy_orchestration_auth owner to ' || (
      select quote_ident(pg_get_userbyid(relowner)) from pg_class where oid = to_regclass('activities')
    );
  end if;
end
$$;

do $$
declare
  wanted text;
begin
  foreach wanted in array array['anon', 'authenticated', 'proxy_orchestration_service'] loop
    if not exists (select from pg_roles where rolname = wanted) then
      execute 'create role ' || quote_ident(wanted) || ' nologin';
    end if;
  end loop;
end
$$;

-- Who acts. The empty search path keeps a caller's own functions and operators out.

create or replace function proxy_orchestration_auth.claims() returns jsonb
language sql stable set search_path = ''
as $$ select nullif(current_setting('request.jwt.claims', true), '')::jsonb $$;

create or replace function proxy_orchestration_auth.uid() returns text
language sql stable set search_path = ''
as $$ select nullif(proxy_orchestration_auth.claims() ->> 'sub', '') $$;

-- From app_metadata alone: people may change their user_metadata themselves.
create or replace function proxy_orchestration_auth.organization_id() returns text
language sql stable set search_path = ''
as $$ select nullif(proxy_orchestration_auth.claims() -> 'app_metadata' ->> 'organization_id', '') $$;

create or replace function proxy_orchestration_auth.roles() returns text[]
language sql stable set search_path = ''
as $$
  select array(
    select jsonb_array_elements_text(told.roles)
    from (select proxy_orchestration_auth.claims() -> 'app_metadata' -> 'roles' as roles) as told
    where jsonb_typeof(told.roles) = 'array'
  )
$$;

create or replace function proxy_orchestration_auth.overseen_organization() returns text
language sql stable set search_path = ''
as $$
  select proxy_orchestration_auth.organization_id()
  where proxy_orchestration_auth.roles() && array['coordinator', 'chapter_admin']
$$;

-- A service role or a member of one, or whoever owns the tables; asked for every record that is written.
create or replace function proxy_orchestration_auth.serves(someone name) returns boolean
language plpgsql stable set search_path = ''
as $$
declare
  asked oid := to_regrole(quote_ident(someone));
begin
  if pg_has_role(asked, to_regrole('proxy_orchestration_service'), 'usage')
    or pg_has_role(asked, to_regrole('service_role'), 'usage')
  then
    return true;
  end if;
  return exists (
    select from pg_namespace
    where nspname = 'proxy_orchestration_auth' and pg_has_role(asked, nspowner, 'usage')
  );
end
$$;

-- Both the role at work and, where there is a token, its role: they differ in a function with its owner's rights.
create or replace function proxy_orchestration_auth.is_service() returns boolean
language plpgsql stable set search_path = ''
as $$
declare
  told jsonb := proxy_orchestration_auth.claims();
begin
  return proxy_orchestration_auth.serves(current_user)
    and (told is null or proxy_orchestration_auth.serves(told ->> 'role'));
end
$$;

-- A trigger, since policies do not bind a role that bypasses them.
create or replace function proxy_orchestration_auth.check_attribution() returns trigger
language plpgsql set search_path = ''
as $$
begin
  if proxy_orchestration_auth.is_service() then
    return new;
  end if;
  if new.registered_by = proxy_orchestration_auth.uid()
    and new.organization_id = proxy_orchestration_auth.organization_id()
    and 'coordinator' = any (proxy_orchestration_auth.roles())
    and (tg_op = 'INSERT' or old.registered_by = new.registered_by)
  then
    return new;
  end if;
  raise insufficient_privilege using
    message = 'an activity is attributed to the coordinator who acts, in the own organization';
end
$$;

-- Every table: closed to all, then open to the service, and to the owner when the owner logged in.

do $$
declare
  named text;
  relation regclass;
  owner text;
  part text;
  services text := (
    select string_agg(quote_ident(rolname), ', ')
    from pg_roles where rolname in ('proxy_orchestration_service', 'service_role')
  );
begin
  foreach named in array array[
    'acknowledgements',
    'activities',
    'audit_events',
    'batch_keys',
    'batches',
    'certificate_ends',
    'correction_notes',
    'device_answers',
    'edits',
    'expiry_guards',
    'items',
    'mentor_visibility',
    'notification_run_shares',
    'notification_runs',
    'notifications',
    'outcomes',
    'proxy_orchestration_version',
    'push_outbox',
    'runs',
    'unfinished',
    'visibility_changes',
    'work'
  ] loop
    relation := to_regclass(named);
    if relation is null and named = 'proxy_orchestration_version' then
      continue; -- a host's own migrations keep their revision elsewhere
    elsif relation is null then
      raise undefined_table using
        message = 'the table ' || named || ' is missing',
        hint = 'Bring the schema up to date with create_schema, then run this script again.';
    end if;

    execute 'alter table ' || relation || ' enable row level security';
    execute 'alter table ' || relation || ' force row level security';
    execute 'revoke all on ' || relation || ' from public, anon, authenticated, ' || services;
    execute 'grant select, insert, update, delete on ' || relation || ' to ' || services;

    for part in
      select sequence.oid::regclass from pg_depend join pg_class as sequence on sequence.oid = objid
      where refobjid = relation and relkind = 'S' and deptype in ('a', 'i')
    loop
      execute 'revoke all on sequence ' || part || ' from public, anon, authenticated, ' || services;
      execute 'grant usage on sequence ' || part || ' to ' || services;
    end loop;

    for part in
      select quote_ident(polname) from pg_policy
      where polrelid = relation and starts_with(polname, 'proxy_orchestration_')
    loop
      execute 'drop policy ' || part || ' on ' || relation;
    end loop;

    select quote_ident(nspname), pg_get_userbyid(relowner) into part, owner
    from pg_class join pg_namespace on pg_namespace.oid = relnamespace where pg_class.oid = relation;
    execute 'grant usage on schema ' || part || ' to authenticated, ' || services;
    execute 'create policy proxy_orchestration_service on ' || relation || ' to ' || services
      || ' using (true) with check (true)';
    -- A migration logs in as the owner, or as a member; a view and a function that lend the owner's rights do not.
    part := '(select pg_has_role(session_user, ' || quote_literal(owner) || ', ''member''))';
    execute 'create policy proxy_orchestration_owner on ' || relation || ' to ' || quote_ident(owner)
      || ' using (' || part || ') with check (' || part || ')';
  end loop;
end
$$;

-- What clients may read. What is left out: free text about people, keys, leases, payloads.

grant select (
  id, batch_id, organization_id, coordinator_id, label, total, submitted_at, run, mode, on_conflict
) on batches to authenticated;
grant select (batch, position, mentor_id) on items to authenticated;
grant select (batch, run, opened_at, run_items, cancel_wished_at, settled_at, status, counts) on runs
  to authenticated;
grant select (
  batch, sequence, run, item, state, activity_id, code, message, retryable, conflicting_activity_id,
  attempts, settled_at
) on outcomes to authenticated;
grant select (
  activity_id, batch_id, organization_id, registered_by, attributed_to, activity_type, activity_date,
  duration_minutes, override_of, recorded_at, voided_at
) on activities to authenticated;
grant select (
  id, notification_id, mentor_id, certificate_type, threshold_tier, acknowledged_by, acknowledged_at,
  organization_id
) on acknowledgements to authenticated;
grant select (
  notification_id, mentor_id, certificate_type, threshold_tier, notification_window_start, audience,
  recipient_id, status, title, body, deep_link, ends_at, created_at, acknowledged_at
) on notifications to authenticated;

create policy proxy_orchestration_own_organization on batches for select to authenticated
  using (organization_id = (select proxy_orchestration_auth.overseen_organization()));

-- Through an array of the organization's batches, which an index can be asked for.
create policy proxy_orchestration_own_organization on items for select to authenticated
  using (batch = any (array(
    select batches.id from batches
    where batches.organization_id = (select proxy_orchestration_auth.overseen_organization())
  )));
create policy proxy_orchestration_own_organization on runs for select to authenticated
  using (batch = any (array(
    select batches.id from batches
    where batches.organization_id = (select proxy_orchestration_auth.overseen_organization())
  )));
create policy proxy_orchestration_own_organization on outcomes for select to authenticated
  using (batch = any (array(
    select batches.id from batches
    where batches.organization_id = (select proxy_orchestration_auth.overseen_organization())
  )));

create policy proxy_orchestration_own_organization on activities for select to authenticated
  using (organization_id = (select proxy_orchestration_auth.overseen_organization()));
create policy proxy_orchestration_own on activities for select to authenticated
  using (attributed_to = (select proxy_orchestration_auth.uid()));

create policy proxy_orchestration_own_organization on acknowledgements for select to authenticated
  using (organization_id = (select proxy_orchestration_auth.overseen_organization()));
create policy proxy_orchestration_own on notifications for select to authenticated
  using (recipient_id = (select proxy_orchestration_auth.uid()));

-- For clients' reading only; the library itself never looks records up this way.
create index if not exists ix_activities_read_by_organization on activities (organization_id, recorded_at);
create index if not exists ix_activities_read_by_mentor on activities (attributed_to, recorded_at);

drop trigger if exists proxy_orchestration_attribution on activities;
create trigger proxy_orchestration_attribution
  before insert or update of registered_by, attributed_to, organization_id on activities
  for each row execute function proxy_orchestration_auth.check_attribution();
