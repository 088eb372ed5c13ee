"""
What a notice book promises: notices, inboxes and digests.
"""
