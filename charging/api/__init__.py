"""REST over what happens at the chargers: stations with their state, sessions, commands."""
