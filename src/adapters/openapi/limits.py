"""How much a document may hold. Whoever writes one may mean harm."""

from typing import Final

CHARACTERS: Final = 2 << 20
"""More than a tool's document may have (`domain/tools/user_tools.py`): this one holds whoever asks."""
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
SCHEMA_TOKENS: Final = 4_000
"""Of one operation: it lies in every request to the model. Beyond that schemas are cut to their types."""
FOLLOWED_NODES: Final = 50_000
"""Looked at for all operations together; beyond that references are followed once only."""
ALL_NODES: Final = 200_000
"""Looked at for all operations together; beyond that the document is refused."""
REMEMBERED: Final = 256
REMEMBERED_NODES: Final = 300_000
"""Values of all documents that are remembered: some 50 MB at the very worst."""
DESCRIPTION: Final = 1_000
"""Characters that a model is shown of any description: OpenAI takes 1,024."""
