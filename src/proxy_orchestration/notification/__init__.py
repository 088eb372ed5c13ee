"""
Telling mentors and coordinators that certificates run out: once, on time, to the right person.
"""
