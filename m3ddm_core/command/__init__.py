"""The command ``outpaint``: one video or many, from the command line."""
