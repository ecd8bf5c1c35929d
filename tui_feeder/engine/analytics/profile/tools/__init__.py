"""Profile tools: of any span, naked and developing levels, anchored VWAP, nodes. Pure, no I/O."""
