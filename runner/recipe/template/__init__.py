"""``{{ }}``: what an expression may do, and its value."""
