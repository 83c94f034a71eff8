"""Readers of published weights: data from outside, never run as code."""
