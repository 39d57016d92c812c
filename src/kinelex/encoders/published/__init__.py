"""Published checkpoints: their names and ours, one file per publication.

Each file has two functions. ``published_to_encoder(state, origin)`` takes a checkpoint's parameters and
buffers (with or without the prefix ``module.``, half precision is cast up) and gives what our encoder loads
and the classifier's ``weight`` and ``bias``, empty where there is none. ``encoder_options(state, joints,
origin)`` gives the options of our encoder that such a state asks for. Both raise an InputError, in which
``origin`` is what the checkpoint is called, where a part is missing, foreign, or of another size.
"""
