"""
Notifies mentors and coordinators of certificates that expire: once, on time, the right person.
"""
