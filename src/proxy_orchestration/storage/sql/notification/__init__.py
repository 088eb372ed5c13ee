"""
Notices, pushes and hidden mentors in SQL: the stores of notification.
"""
