"""Tests of calls: machine, supervisor, registry, programs, event log, prompts and logs."""
