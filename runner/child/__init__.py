"""What runs inside the process of a tool: it calls the tool's own main, and watches."""
