"""The front door for notebooks: ``models.prompts.build`` turns a question into the token ids that a model gets."""

from models.answering.prompts import Prompt, build, choose_style, styles

__all__ = ["Prompt", "build", "choose_style", "styles"]
