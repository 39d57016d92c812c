"""Knowledge prompts: engines that describe and picture clips, encoders that embed what they say."""

from kinelex.prompts.base import (
    ClipTexts,
    Crops,
    EngineContext,
    FrameSource,
    ImageEncoder,
    LanguageEngine,
    TextEncoder,
    VisionEngine,
)
from kinelex.prompts.describe import describe_prompts
from kinelex.prompts.engines.kinematic.engine import describe_clip
from kinelex.prompts.make import PromptSummary, make_prompts, merge_prompts
from kinelex.prompts.plan import PromptOptions
from kinelex.prompts.registry import create, names, options_of, register

__all__ = ["ClipTexts", "Crops", "EngineContext", "FrameSource", "ImageEncoder", "LanguageEngine"]
__all__ += ["PromptOptions", "PromptSummary", "TextEncoder", "VisionEngine", "create", "describe_clip"]
__all__ += ["describe_prompts", "make_prompts", "merge_prompts", "names", "options_of", "register"]
