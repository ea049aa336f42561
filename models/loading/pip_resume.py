"""Continue a download with pip's own session: ``python -m models.loading.pip_resume URL FILE``.

pip has no way to go on with a file that an earlier run left behind, but its session has everything that the user configured
(index credentials, proxies, certificates, timeouts), so this asks that session for the missing bytes with a Range header. It
runs as a process of its own, because pip's insides are not meant to live in other programs. Prints ``Progress DONE of TOTAL``
lines; knows nothing of checksums.

Exit status: 0 the file is as long as the server says, 1 the network failed (what came is kept), 3 this way does not work here
(an unknown pip, a server that refuses) and ``pip download`` should be tried.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

FAILED = 1
NOT_HERE = 3
_CHUNK = 1 << 18


def main(url: str, file: Path) -> int:
    """Append to ``file`` what it lacks of ``url``; see the module for what is returned."""
    try:
        from pip._internal.commands import create_command

        command: Any = create_command("download")
        options, _ = command.parse_args([url])  # reads the user's pip configuration and environment
        with command.main_context():
            return _fetch(command.get_default_session(options), url, file)
    except (ImportError, AttributeError, TypeError) as error:
        print(f"this pip has changed: {error}", file=sys.stderr)  # noqa: T201
        return NOT_HERE
    except OSError as error:  # what requests raises, and a full disk
        print(error, file=sys.stderr)  # noqa: T201
        return FAILED


def _fetch(session: Any, url: str, file: Path) -> int:
    have = file.stat().st_size if file.exists() else 0
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    with session.get(url, headers=headers, stream=True) as response:
        if response.status_code == 416:  # nothing is missing; the checksum will judge
            return 0
        if response.status_code not in {200, 206}:
            print(f"the server answers {response.status_code}", file=sys.stderr)  # noqa: T201
            return FAILED if response.status_code >= 500 else NOT_HERE
        if response.status_code == 200:  # the whole file, from the server or from pip's cache
            have = 0
        total = have + int(response.headers.get("Content-Length", 0))
        with file.open("ab" if have else "wb") as out:
            for chunk in response.iter_content(_CHUNK):
                out.write(chunk)
                have += len(chunk)
                print(f"Progress {have} of {total}", flush=True)  # noqa: T201
    return 0 if have >= total else FAILED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2])))
