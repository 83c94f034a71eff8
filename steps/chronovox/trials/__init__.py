"""Trial lists: reading and writing, the rules of a list, and the selection."""

from chronovox.trials.lists import Trials, check_name, read_trials, write_trials

__all__ = ["Trials", "check_name", "read_trials", "write_trials"]
