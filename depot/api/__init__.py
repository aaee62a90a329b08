"""REST over what stands in the yard, and the manners that every resource of `/api/v1/` shares."""
