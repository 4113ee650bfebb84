"""Results in the forms that people ask for: tidy tables, Excel, CP-like rows, one h5ad of the sketch."""
