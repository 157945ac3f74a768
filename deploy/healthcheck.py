"""Exit code 0 if the service in this container answers 200 on a path (default /ready): a probe without curl."""

import os
import sys
from urllib.request import urlopen

path = sys.argv[1] if len(sys.argv) > 1 else "/ready"
try:
    urlopen(f"http://127.0.0.1:{os.environ.get('PORT', '8000')}{path}", timeout=2).close()
except OSError as error:  # refused, too slow, or an answer of 400 and above
    sys.exit(f"{path}: {error}")
