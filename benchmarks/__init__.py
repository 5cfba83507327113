"""Speed as ratios: this program, what one would use instead, and the limit, side by side."""
