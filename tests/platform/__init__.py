"""The platform room's tests, and the settings that every test runs under."""
