from .community.leiden import leiden
from .structure.graph_classes import Graph

__all__ = ["Graph", "leiden"]
__version__ = "26.10.0+fake"
