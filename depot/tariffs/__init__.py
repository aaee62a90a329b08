"""What energy costs: definitions of tariffs and their price series. Pure, but for service.py."""
