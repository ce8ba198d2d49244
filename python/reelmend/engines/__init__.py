"""Networks that run: a catalogue of them, engines made from them, and proof that an engine does what it should.

with open_engine("lite-x2", size=(540, 960)) as engine:
    large = engine.run({"x": picture})["y"]          # float32 (1, 3, 540, 960) to (1, 3, 1080, 1920)
"""
