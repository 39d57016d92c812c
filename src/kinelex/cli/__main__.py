"""``python -m kinelex.cli`` is ``kinelex``."""

import sys

from kinelex.cli.main import main

sys.exit(main())
