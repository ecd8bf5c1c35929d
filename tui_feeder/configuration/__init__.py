"""Reading and checking the configuration; import what you need from :mod:`tui_feeder.config`."""
