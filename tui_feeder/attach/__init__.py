"""A running feeder on a Unix socket: screens and scripts look in without touching the engine.

``wire`` is what both sides say, ``server`` the feeder's end, ``client`` a
:class:`~tui_feeder.monitor.Monitor` of a feeder in another process, ``sockets`` where the sockets lie.
"""
