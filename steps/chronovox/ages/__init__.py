"""Ages of utterances: the files that hold them, and labels published by others."""

from chronovox.ages.tables import claim, read_sessions, write_ages

__all__ = ["claim", "read_sessions", "write_ages"]
