"""The worker process that runs the sampler under test; it writes one line of JSON per claim to a separate channel."""

import json
import os
import signal
import sys

from stn_ref.conformance.claims import CLAIMS
from stn_ref.conformance.run import judge
from stn_ref.conformance.subject import Spec, Subject


def main(request: dict) -> None:
    """Import the functions under test, then judge the claims asked for, in order."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which then ends this process
    with os.fdopen(os.dup(1), "w") as answers:  # the former standard output carries only answers;
        os.dup2(2, 1)  # what the sampler prints, even from C, goes to standard error

        def tell(**answer) -> None:
            answers.write(json.dumps(answer) + "\n")
            answers.flush()

        try:
            subject = Subject.from_spec(Spec(**request["spec"]))
        except (ImportError, ValueError) as error:
            return tell(error="ImportError" if isinstance(error, ImportError) else "ValueError", text=str(error))
        tell(ready=True)
        for name in request["claims"]:
            tell(**judge(CLAIMS[name], subject).to_dict())
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # threads that the sampler left behind must not keep the process alive
