"""The page of finished runs, ``report.html``: verdicts in words, tables, pictures, commands and versions."""
