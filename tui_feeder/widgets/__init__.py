"""The widgets and painters, one file each."""
