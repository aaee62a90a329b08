"""The whole product from outside: `manage.py up` as a user starts it, chargers over TCP, REST and a browser."""
