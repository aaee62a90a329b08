"""REST over what should happen: plan runs and plans."""
