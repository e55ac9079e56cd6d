"""The demo's own parts: sample material, its processes in a folder, and what proves the point."""
