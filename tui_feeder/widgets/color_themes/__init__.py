"""Colour themes: NAME.toml has the colour of every role of text; themes.py reads them."""
