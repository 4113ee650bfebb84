"""Figures: tables in, SVG out."""
