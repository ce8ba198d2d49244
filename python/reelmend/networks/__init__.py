"""Networks in PyTorch: definitions, import of checkpoints, export to ONNX, training. Needs the extra `train`.

Nothing that runs video imports this room: what it makes is a folder of the catalogue (reelmend.engines).
"""
