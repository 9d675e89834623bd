import sys
from pathlib import Path

# Workers are told what to do by functions and classes that they import, also those of tests.
sys.path.insert(0, str(Path(__file__).parent))
