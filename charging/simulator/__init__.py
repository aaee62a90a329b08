"""Stations and vehicles that speak only OCPP 1.6J: an outside witness of the product.

Imports the standard library, `ocpp` and `websockets`, and nothing of the project.
"""
