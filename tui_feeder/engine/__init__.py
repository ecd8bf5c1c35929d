"""The engine: everything between the exchange and the published message. Knows no screen."""
