"""OCPP 1.6 messages as typed structs, one module per feature profile; `registry` lists them by action and direction."""
