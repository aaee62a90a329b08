"""`python -m charging.simulator`."""

import sys

from charging.simulator.main import main

sys.exit(main())
