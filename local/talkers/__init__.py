"""The generator of the talkers corpus: a test bed with known truth.

settings -> world (who speaks, when, with which voice) -> espeak (the voice as
samples) -> sound (the recording). Numbers from this corpus show that a method
works as meant; they say nothing about real speech.
"""
