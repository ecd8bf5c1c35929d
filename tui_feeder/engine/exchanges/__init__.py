"""The only code that knows an exchange."""
