"""Few-shot and transfer learning on images: which way of learning to use, how good it is, how sure one can be."""

__version__ = "0.1.0"
