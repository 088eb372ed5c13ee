#!/usr/bin/env bash
# APScheduler 3.11.3, CPython 3.11 or newer: a daily CronTrigger in a zone with summer time leaves out one
# whole day. At 00:05 in Europe/Oslo, which no clock change touches (the gap is from 02:00 to 03:00), the
# job of 30 March 2026 never runs: after the run of the 29th, the day of the gap, comes that of the 31st.
# In autumn no day is lost, and in UTC none ever is. To get to midnight of the 30th the trigger adds the
# difference of two wall times as elapsed time; the 29th has 23 hours, so it lands on 01:00 of the 30th,
# finds 00:05 past there, and goes on to the 31st.
#
# Exits with 0 while that is so, and with 1 once it is not.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet apscheduler==3.11.3 tzdata==2025.2
cat >"$folder/show.py" <<'PYTHON'
from datetime import datetime, timedelta
from importlib.metadata import version
from zoneinfo import ZoneInfo

from apscheduler.triggers.cron import CronTrigger


def days_left_out(name, first):
    zone = ZoneInfo(name)
    trigger = CronTrigger(hour=0, minute=5, timezone=name)
    fired, before, now = set(), None, datetime(*first, tzinfo=zone)
    end = now + timedelta(days=7)
    while True:
        before = trigger.get_next_fire_time(before, before or now)
        if before > end:
            break
        fired.add(before.date())
    wanted = {(now + timedelta(days=day)).date() for day in range(1, 8)}
    return sorted(str(day) for day in wanted - fired)


print("APScheduler", version("apscheduler"))
seen = {}
for name, first in (
    ("Europe/Oslo", (2026, 3, 26, 12)),
    ("Europe/Oslo", (2026, 10, 22, 12)),
    ("UTC", (2026, 3, 26, 12)),
):
    seen[name, first[1]] = days_left_out(name, first)
    print(f"00:05 in {name}, a week from {first[:3]}: days left out {seen[name, first[1]]}")
as_seen_before = seen == {("Europe/Oslo", 3): ["2026-03-30"], ("Europe/Oslo", 10): [], ("UTC", 3): []}
print("as described" if as_seen_before else "changed")
raise SystemExit(0 if as_seen_before else 1)
PYTHON
"$folder/venv/bin/python" "$folder/show.py"
