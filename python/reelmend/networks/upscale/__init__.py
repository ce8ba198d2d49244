"""Small networks of super-resolution that are defined here: those that spandrel does not know, or not as they ship."""
