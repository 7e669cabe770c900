"""From records to an answer: rows (`summary`), questions (`questions`, `winners`), figures (`charts`), pages (`page`).

Everything here is made from the results folder alone and can be made again; nothing here imports torch.
"""
