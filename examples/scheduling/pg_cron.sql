-- Ask for a run every night at 00:05 UTC, from PostgreSQL's own pg_cron.
--
-- pg_cron runs SQL and can call no Python: it writes down that a run is wanted, and a process of yours
-- takes it from there. It counts in GMT unless `cron.timezone` says otherwise; check with
-- SHOW cron.timezone. Do not make the nights by generate_series in a zone with summer time: an hour that
-- the clock skipped once is an hour late on every day after that.

CREATE TABLE IF NOT EXISTS wanted_runs (
    day date PRIMARY KEY,
    wanted_at timestamptz NOT NULL DEFAULT now(),
    done_at timestamptz
);

SELECT cron.schedule(
    'certificate-notices',
    '5 0 * * *',
    $job$
    INSERT INTO wanted_runs (day) VALUES ((now() AT TIME ZONE 'UTC')::date) ON CONFLICT DO NOTHING
    $job$
);

-- The process asks every minute or so, and runs if there is a day. One run makes up for all of them.
--   SELECT max(day) FROM wanted_runs WHERE done_at IS NULL;
-- After the run, and not before: a process that is killed in between runs again, which does no harm.
--   UPDATE wanted_runs SET done_at = now() WHERE done_at IS NULL AND day <= :day;
