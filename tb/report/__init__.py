"""`chimney report`: one self-contained HTML file for a run or a regression (docs/report.md)."""
