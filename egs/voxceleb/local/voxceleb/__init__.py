"""What the scripts of this recipe share: metadata of speakers, and trees of files."""
