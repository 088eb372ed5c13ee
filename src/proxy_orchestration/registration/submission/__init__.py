"""
Before a run exists: access, conflicts, and the plan for each item.

A request goes through `submit`: it asks `authorization` and `conflict_check`, makes a
`run_plan`, and stores batch and first run. A `retry` and a `review` choose items of a
settled batch and open a `further_run`, which asks and plans in the same way.
"""
