"""`python -m reelmend.cli`."""

import sys

from . import main

sys.exit(main())
