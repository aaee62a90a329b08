"""Listens to what changes a plan's inputs."""
