"""
The standard registration service, for hosts whose activities this library keeps.

`service` answers drivers and people, `single` has what is said to people about one
registration, and `checks` has the rules, with the store behind them.
"""
