"""Training: synthetic scenes and videos, masks, the trainer. Needs the ``train`` extra; nothing else imports it."""
