"""How much a document may hold. Whoever writes one may mean harm."""

from typing import Final

CHARACTERS: Final = 2 << 20
NODES: Final = 100_000
"""Values and names in the whole document; one that YAML repeats counts each time."""
DEPTH: Final = 100
OPERATIONS: Final = 200
PARAMETERS: Final = 200
"""Of one operation."""
SCHEMA_NODES: Final = 2_000
"""Of one operation when its references are followed; beyond that they are followed less deep."""
LARGEST_SCHEMA: Final = 10_000
"""Of one operation when none is followed."""
FOLLOWED_NODES: Final = 100_000
"""Looked at for all operations together; beyond that references are followed once only."""
ALL_NODES: Final = 200_000
"""Looked at for all operations together; beyond that the document is refused."""
DESCRIPTION: Final = 1_000
"""Characters that a model is shown of any description: OpenAI takes 1,024."""
