"""Private machinery of the HTML pages: their look, drawn clips, bars."""
