"""OCPP-J on the wire: frames, typed messages, one RPC session per socket. Pure: no Django, no I/O, no clock.

Start at `session.RpcSession`, `decoding.decode_request`, `decoding.validate_command` and `metering.samples_of`.
"""
