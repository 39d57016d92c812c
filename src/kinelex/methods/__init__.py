"""Methods: an encoder, its losses and what to log. One file each, readable from top to bottom."""

from kinelex.data.clip_prompts import Prompts
from kinelex.methods.aimclr import AimCLR, SkeletonCLR
from kinelex.methods.amr import AMR
from kinelex.methods.base import Method, StepOutput
from kinelex.methods.beside_c2vl import CMDC2VL, SOFAC2VL
from kinelex.methods.c2vl import C2VL
from kinelex.methods.cmd import CMD
from kinelex.methods.mamp import MAMP
from kinelex.methods.mmcl import MMCL
from kinelex.methods.registry import list_methods, method_class, register
from kinelex.methods.sofa import SOFA
from kinelex.methods.supervised import Supervised
from kinelex.methods.usdrl import USDRL

__all__ = ["AMR", "C2VL", "CMD", "CMDC2VL", "MAMP", "MMCL", "SOFA", "SOFAC2VL", "USDRL"]
__all__ += ["AimCLR", "SkeletonCLR", "Supervised"]
__all__ += ["Method", "Prompts", "StepOutput", "list_methods", "method_class", "register"]
