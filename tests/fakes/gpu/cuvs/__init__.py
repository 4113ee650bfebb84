__version__ = "26.10.0+fake"
