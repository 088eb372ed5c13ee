"""
Python imports this at its start wherever it finds it on its path: each subprocess of the calendar session.
"""

import shifted_clock

shifted_clock.begin()
