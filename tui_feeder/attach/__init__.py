"""A running feeder on a Unix socket: clients show it without touching the engine.

``wire`` is the protocol, ``server`` the feeder's end, ``client`` a
:class:`~tui_feeder.monitor.Monitor` of a feeder in another process, ``sockets`` where the sockets lie.
"""
