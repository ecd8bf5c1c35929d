"""``python -m tui_feeder``."""

from tui_feeder.cli import main

if __name__ == "__main__":
    main()
