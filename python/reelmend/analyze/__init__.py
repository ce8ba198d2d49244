"""Measuring and showing: synthetic flicker, metrics, the demo scene, pictures and benchmarks."""
