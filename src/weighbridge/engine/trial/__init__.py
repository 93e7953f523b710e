"""What runs in the jail of a trial: a model, its switches, and the search for their triggers.

Only `worker.py` is started, as a program of its own (`engine/trials.py`); nothing here is imported
by the process that audits. It needs NumPy and ONNX Runtime (extra `deep`).
"""
