"""JSON out: UTF-8, UTC times with Z."""

from rest_framework.renderers import JSONRenderer


class ApiJsonRenderer(JSONRenderer):
    """Plain JSON; there is no browsable API."""

    media_type = "application/json"
    charset = None
