"""chronovox: speaker verification over time. A room imports only rooms above it:

cli, files, config, runinfo, datadir, datadir_ops, datadir_check, clusterconf,
jobs, coverage; kaldi_io, vectors, staging; manifests, sound, audio, features,
augment, noises, frontend; models; checkpoints; faces; ages; trials; scoring;
evaluation; training; templates, cleansing.
"""
