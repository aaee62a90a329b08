"""Plans for a coming day that nobody has to obey: what would it take, and what would it cost?"""
