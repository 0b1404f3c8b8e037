"""The documentation as a site of its own (`make docs`): pages, their links, and the generated reference."""
