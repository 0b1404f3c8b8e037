"""The founding pages played: scenes, what they left behind, and one judgement a row of docs/founding-pages.md."""
