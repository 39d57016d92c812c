"""Methods: an encoder, its losses and what to log. One file each, readable from top to bottom."""

from kinelex.data.clip_prompts import Prompts
from kinelex.methods.base import Method, StepOutput
from kinelex.methods.c2vl import C2VL
from kinelex.methods.cmd import CMD
from kinelex.methods.mamp import MAMP
from kinelex.methods.mmcl import MMCL
from kinelex.methods.registry import list_methods, method_class, register
from kinelex.methods.sofa import SOFA
from kinelex.methods.supervised import Supervised
from kinelex.methods.usdrl import USDRL

__all__ = ["C2VL", "CMD", "MAMP", "MMCL", "SOFA", "USDRL", "Method", "Prompts", "StepOutput", "Supervised"]
__all__ += ["list_methods", "method_class", "register"]
