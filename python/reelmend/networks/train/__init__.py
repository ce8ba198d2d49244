"""Training by recipe: a file says what is trained on what, and anyone can run it again.

    python -m reelmend.networks.train engines/lite-x2/recipe.toml --material ../shared/material

recipe    what a recipe.toml holds
data      pictures and clips, decoded and cut once into one file of patches
flicker   runs of frames that flicker, as the stage Deflicker sees them
degrade   what makes the input of a picture: reduction, blur, compression
loss      how far a result is from the truth
task      what is trained: batches, network and loss, a class a task
loop      steps, checkpoints, curve; goes on where it was stopped, to the bit
"""
