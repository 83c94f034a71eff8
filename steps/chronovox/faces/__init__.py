"""Faces: cut out of pictures, and their ages estimated."""
