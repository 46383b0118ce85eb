"""Whole workloads, as ratios over the bare machine."""

NAMES = {}


def run(quick):
    return {'ratios': {}, 'details': {}, 'notes': []}
