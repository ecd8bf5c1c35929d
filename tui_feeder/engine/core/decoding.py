"""What decoding anything from outside may raise, and whole numbers that a float holds exactly."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import msgspec

#: What decoding an answer or a frame raises when it is not what it should be.
UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
#: A whole number as a float holds it exactly; JSON has no bound, and what is made of one must not fail.
ExactInt: TypeAlias = Annotated[int, msgspec.Meta(gt=-(1 << 53), lt=1 << 53)]
