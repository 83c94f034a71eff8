"""chronovox: speaker verification over time. A room imports only rooms above it:

cli, files, config, runinfo, datadir; kaldi_io; audio, features, augment; models;
checkpoints; faces; trials; scoring; evaluation; training; templates, cleansing.
"""
