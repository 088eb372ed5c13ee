-- The activity records of proxy-orchestration over PostgREST, as on Supabase: seven functions.
--
-- Run it in one transaction, as the owner of the tables, after create_schema and the script for
-- row-level security, and again after every upgrade of the library.
--
-- Each function answers one object, so that PostgREST's limit of rows never cuts an answer short.
-- Each runs with its caller's rights, and only the service may call it. None raises 40001, which
-- PostgREST would repeat without end. Their limits of time count over HTTP only.
-- Each asks the indexes, also while a table is new and the planner takes it for empty.
-- There is no percent sign in it, so that every driver takes it as it is.

do $$
begin
  if to_regclass('correction_notes') is null then
    raise undefined_table using
      message = 'the tables of this library are missing',
      hint = 'Make them with create_schema, run the script for row-level security, then run this one again.';
  end if;
  if not exists (select from pg_roles where rolname in ('proxy_orchestration_service', 'service_role')) then
    raise undefined_object using
      message = 'the role of the service is missing',
      hint = 'Run the script for row-level security first, which makes it, then run this one again.';
  end if;
end
$$;

-- Stores what nothing conflicts with. The answer names, by position, each record that exists in the
-- place of the one that was given; a position that is not named was stored as it was given.
create or replace function add_activities(p_records jsonb, p_atomic boolean) returns jsonb
language plpgsql volatile security invoker
set statement_timeout = '20s' set enable_seqscan = 'off' set enable_bitmapscan = 'off'
set plan_cache_mode = 'force_custom_plan'
set lock_timeout = '10s' set default_transaction_isolation = 'read committed'
as $function$
declare
  total integer := jsonb_array_length(p_records);
  stored integer;
  looks integer := 0;
  standing jsonb := '{}';
begin
  begin
    loop
      -- Overrides, and what is erased, no unique index sees: they are looked for before anything is stored.
      with asked as materialized (
        select given.*,
          'erased-' || left(encode(sha256(convert_to(
            'proxy-orchestration, erased: ' || given.registration_id, 'UTF8')), 'hex'), 32) as erased_id,
          'erased-' || left(encode(sha256(convert_to(
            'proxy-orchestration, erased: ' || given.duplicate_key, 'UTF8')), 'hex'), 32) as erased_key
        from rows from (jsonb_to_recordset(p_records) as (
          registration_id text, organization_id text, duplicate_key text, override_of text
        )) with ordinality as given (registration_id, organization_id, duplicate_key, override_of, place)
      ), overrides as materialized (
        select asked.place, asked.organization_id, asked.duplicate_key from asked
        where asked.override_of is not null
      ), keys as materialized (
        select asked.place, asked.organization_id, asked.erased_key as key, 1 as rank from asked
        where asked.override_of is null and asked.duplicate_key is not null
        union all
        select asked.place, asked.organization_id, asked.duplicate_key, 2 from asked
        where asked.override_of is null and asked.duplicate_key is not null
      ), found as (
        -- Row by row, in the words and the order of one index each: the planner has no other choice.
        select asked.place, 0 as rank, to_jsonb(known) as record
        from asked cross join lateral (
          select one.* from activities as one
          where one.registration_id in (asked.registration_id, asked.erased_id)
          order by one.registration_id limit 1
        ) as known
        where looks > 0
        union all
        select keys.place, keys.rank, to_jsonb(known)
        from keys cross join lateral (
          select one.* from activities as one
          where one.organization_id = keys.organization_id and one.duplicate_key = keys.key
            and one.voided_at is null and one.override_of is null
          order by one.organization_id, one.duplicate_key limit 1
        ) as known
        where looks > 0 or keys.rank = 1
        union all
        select keys.place, 3, to_jsonb(known)
        from keys cross join lateral (
          select one.* from activities as one
          where one.organization_id = keys.organization_id and one.duplicate_key = keys.key
            and one.voided_at is null and one.override_of is not null
          order by one.organization_id, one.duplicate_key limit 1
        ) as known
        union all
        select asked.place, 4, null
        from overrides join asked
          on overrides.organization_id = asked.organization_id
          and overrides.duplicate_key = asked.duplicate_key and overrides.place < asked.place
        where looks = 0 and asked.override_of is null
      )
      select coalesce(jsonb_object_agg(first_found.place, first_found.record), '{}') into standing
      from (
        select distinct on (found.place) found.place, found.record from found order by found.place, found.rank
      ) as first_found;
      exit when looks > 0 and (select count(*) from jsonb_object_keys(standing)) = total;
      if looks = 3 then
        -- Neither stored nor in another's way: its id is another record's.
        raise unique_violation;
      end if;

      -- In one order, so that two calls at once do not wait for each other; alike ones stay in theirs.
      insert into activities (
        activity_id, registration_id, idempotency_key, batch_id, organization_id, registered_by,
        registered_by_roles, attributed_to, activity_type, activity_date, duration_minutes, notes, details,
        override_of, recorded_at, duplicate_key, voided_at
      )
      select
        given.activity_id, given.registration_id, given.idempotency_key, given.batch_id,
        given.organization_id, given.registered_by, given.registered_by_roles, given.attributed_to,
        given.activity_type, given.activity_date, given.duration_minutes, given.notes, given.details,
        given.override_of, given.recorded_at, given.duplicate_key, given.voided_at
      from rows from (jsonb_to_recordset(p_records) as (
        activity_id text, registration_id text, idempotency_key text, batch_id text, organization_id text,
        registered_by text, registered_by_roles text, attributed_to text, activity_type text,
        activity_date date, duration_minutes integer, notes text, details text, override_of text,
        recorded_at timestamptz, duplicate_key text, voided_at timestamptz
      )) with ordinality as given (
        activity_id, registration_id, idempotency_key, batch_id, organization_id, registered_by,
        registered_by_roles, attributed_to, activity_type, activity_date, duration_minutes, notes, details,
        override_of, recorded_at, duplicate_key, voided_at, place
      )
      where not standing ? given.place::text
      order by
        given.organization_id collate "C", coalesce(given.duplicate_key, '') collate "C",
        case when given.duplicate_key is null then given.registration_id else '' end collate "C", given.place
      on conflict do nothing;
      get diagnostics stored = row_count;
      if looks = 0 and stored = total then
        return jsonb_build_object('version', 1, 'asked', total, 'standing', '{}'::jsonb);
      end if;
      looks := looks + 1;
    end loop;
    if p_atomic and exists (
      select from rows from (jsonb_to_recordset(p_records) as (registration_id text, override_of text))
        with ordinality as given (registration_id, override_of, place)
      where (standing -> given.place::text ->> 'registration_id') not in (
        given.registration_id,
        'erased-' || left(encode(sha256(convert_to(
          'proxy-orchestration, erased: ' || given.registration_id, 'UTF8')), 'hex'), 32)
      )
    ) then
      raise exception using errcode = 'PO001', message = 'all or nothing';
    end if;
  exception
    when sqlstate 'PO001' then
      null; -- what this call stored is undone, and what conflicts is told
    when insufficient_privilege then
      -- A policy or a trigger of the host's refuses a row. Where the caller is a person, or a service that
      -- lacks a right on the table itself, it is no row's fault, and is told as it is.
      if (
        proxy_orchestration_auth.is_service()
        and has_table_privilege(to_regclass('activities')::oid, 'select')
        and has_table_privilege(to_regclass('activities')::oid, 'insert')
      ) is not true then
        raise;
      end if;
      raise exception using
        errcode = sqlstate, message = 'the store refuses a record', hint = 'record_refused';
    when data_exception or integrity_constraint_violation or program_limit_exceeded or raise_exception then
      -- The last is what a trigger of the host's raises when it says no more than that.
      -- Without the detail, which shows the row to a role that bypasses row-level security.
      raise exception using
        errcode = sqlstate, message = 'the store refuses a record', hint = 'record_refused';
  end;
  return jsonb_build_object('version', 1, 'asked', total, 'standing', standing);
end
$function$;

create or replace function find_activities(p_ids text[]) returns jsonb
language sql stable security invoker
set statement_timeout = '20s' set enable_seqscan = 'off' set enable_bitmapscan = 'off'
set plan_cache_mode = 'force_custom_plan'
as $function$
  select jsonb_build_object('version', 1, 'records', coalesce(jsonb_agg(to_jsonb(known)), '[]'))
  from activities as known where known.registration_id = any (p_ids)
$function$;

-- Each half in the words of its index.
create or replace function find_duplicates(p_org text, p_keys text[]) returns jsonb
language sql stable security invoker
set statement_timeout = '20s' set enable_seqscan = 'off' set enable_bitmapscan = 'off'
set plan_cache_mode = 'force_custom_plan'
as $function$
  select jsonb_build_object('version', 1, 'records', coalesce(jsonb_agg(found.record), '[]'))
  from (
    select to_jsonb(known) as record from activities as known
    where known.organization_id = p_org and known.duplicate_key = any (p_keys)
      and known.voided_at is null and known.override_of is null
    union all
    select to_jsonb(known) from activities as known
    where known.organization_id = p_org and known.duplicate_key = any (p_keys)
      and known.voided_at is null and known.override_of is not null
  ) as found
$function$;

create or replace function activities_of_batch(p_batch text) returns jsonb
language sql stable security invoker
set statement_timeout = '20s' set enable_seqscan = 'off' set enable_bitmapscan = 'off'
set plan_cache_mode = 'force_custom_plan'
as $function$
  select jsonb_build_object(
    'version', 1, 'records', coalesce(jsonb_agg(to_jsonb(known) order by known.attributed_to), '[]')
  )
  from activities as known where known.batch_id = p_batch
$function$;

create or replace function void_activity(p_id text, p_at timestamptz) returns jsonb
language sql volatile security invoker
set statement_timeout = '20s' set enable_seqscan = 'off' set enable_bitmapscan = 'off'
set plan_cache_mode = 'force_custom_plan'
set lock_timeout = '10s' set default_transaction_isolation = 'read committed'
as $function$
  with voided as (
    update activities set voided_at = coalesce(voided_at, p_at) where activity_id = p_id returning 1
  )
  select jsonb_build_object('version', 1, 'found', exists (select from voided))
$function$;

-- Newest first, after the record of that day, moment and id; each with the notes beside it.
create or replace function list_activities(
  p_org text, p_coordinators text[], p_mentors text[], p_from date, p_through date,
  p_after_day date, p_after_moment timestamptz, p_after_id text, p_limit integer
) returns jsonb
language sql stable security invoker
set statement_timeout = '20s' set enable_seqscan = 'off' set enable_bitmapscan = 'off'
set plan_cache_mode = 'force_custom_plan'
as $function$
  select jsonb_build_object('version', 1, 'records', coalesce(
    jsonb_agg(jsonb_build_object('record', to_jsonb(page), 'corrections', (
      select coalesce(jsonb_agg(to_jsonb(note) order by note.written_at, note.note_id), '[]')
      from correction_notes as note where note.activity_id = page.activity_id
    )) order by page.activity_date desc, page.recorded_at desc, page.activity_id desc), '[]'))
  from (
    select known.* from activities as known
    where known.organization_id = p_org
      and (p_coordinators is null or known.registered_by collate "C" = any (p_coordinators))
      and (p_mentors is null or known.attributed_to = any (p_mentors))
      and (p_from is null or known.activity_date >= p_from)
      and (p_through is null or known.activity_date <= p_through)
      and (p_after_day is null or (
        known.activity_date <= p_after_day
        and (known.activity_date, known.recorded_at, known.activity_id)
          < (p_after_day, p_after_moment, p_after_id)
      ))
    order by known.activity_date desc, known.recorded_at desc, known.activity_id desc
    limit p_limit
  ) as page
$function$;

-- The note that has its id then; none where no such record is visible.
create or replace function add_correction(p_org text, p_coordinator text, p_note jsonb) returns jsonb
language plpgsql volatile security invoker
set statement_timeout = '20s' set enable_seqscan = 'off' set enable_bitmapscan = 'off'
set plan_cache_mode = 'force_custom_plan'
set lock_timeout = '10s' set default_transaction_isolation = 'read committed'
as $function$
declare
  found_note jsonb;
begin
  begin
    insert into correction_notes (activity_id, note_id, text, written_by, written_at)
    select known.activity_id, given.note_id, given.text, given.written_by, given.written_at
    from jsonb_to_record(p_note) as given (
      activity_id text, note_id text, text text, written_by text, written_at timestamptz
    )
    join activities as known
      on known.activity_id = given.activity_id and known.organization_id = p_org
      and (p_coordinator is null or known.registered_by = p_coordinator)
    on conflict do nothing;
    select to_jsonb(note) into found_note
    from correction_notes as note
    join activities as known
      on known.activity_id = note.activity_id and known.organization_id = p_org
      and (p_coordinator is null or known.registered_by = p_coordinator)
    where note.activity_id = p_note ->> 'activity_id' and note.note_id = p_note ->> 'note_id';
  exception
    when insufficient_privilege then
      -- As of records.
      if (
        proxy_orchestration_auth.is_service()
        and has_table_privilege(to_regclass('activities')::oid, 'select')
        and has_table_privilege(to_regclass('correction_notes')::oid, 'select')
        and has_table_privilege(to_regclass('correction_notes')::oid, 'insert')
      ) is not true then
        raise;
      end if;
      raise exception using
        errcode = sqlstate, message = 'the store refuses a record', hint = 'record_refused';
    when data_exception or integrity_constraint_violation or program_limit_exceeded or raise_exception then
      raise exception using
        errcode = sqlstate, message = 'the store refuses a record', hint = 'record_refused';
  end;
  return jsonb_build_object('version', 1, 'note', found_note);
end
$function$;

-- Whoever may call them: the service. And they look for the tables where those are, whoever calls.
do $$
declare
  wanted text;
  home text := (
    select quote_ident(nspname) from pg_class join pg_namespace on pg_namespace.oid = relnamespace
    where pg_class.oid = to_regclass('activities')
  );
  services text := (
    select string_agg(quote_ident(rolname), ', ')
    from pg_roles where rolname in ('proxy_orchestration_service', 'service_role')
  );
  others text := (
    select string_agg(quote_ident(rolname), ', ') from pg_roles where rolname in ('anon', 'authenticated')
  );
begin
  foreach wanted in array array[
    'add_activities(jsonb, boolean)',
    'find_activities(text[])',
    'find_duplicates(text, text[])',
    'activities_of_batch(text)',
    'void_activity(text, timestamptz)',
    'list_activities(text, text[], text[], date, date, date, timestamptz, text, integer)',
    'add_correction(text, text, jsonb)'
  ] loop
    execute 'alter function ' || wanted || ' set search_path = ' || home || ', pg_temp';
    execute 'revoke all on function ' || wanted || ' from ' || concat_ws(', ', 'public', others, services);
    execute 'grant execute on function ' || wanted || ' to ' || services;
  end loop;
end
$$;

-- PostgREST learns of them at once.
notify pgrst, 'reload schema';
