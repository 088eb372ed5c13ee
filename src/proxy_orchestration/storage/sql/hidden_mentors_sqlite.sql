-- Who is hidden now because a certificate is lapsed, for a host's own queries on SQLite.
--
-- Run it after create_schema; to run it again changes nothing. Moments are compared to the millisecond.

drop view if exists hidden_mentors;

create view hidden_mentors as
  select mentor_id, min(ends_at) as ended_at
  from mentor_visibility
  where ends_at <= strftime('%Y-%m-%dT%H:%M:%f', 'now') and (restored_at is null or ends_at > restored_at)
  group by mentor_id;
