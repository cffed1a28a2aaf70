"""Lets `python3 -m unittest tests.integration.test_x` find the modules beside it.

Run as a file, a test finds them by itself.
"""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
