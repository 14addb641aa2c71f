"""How long tests wait for what must come. It proves nothing: a machine may be as slow as it likes."""

from typing import Final

PATIENCE: Final = 120.0
