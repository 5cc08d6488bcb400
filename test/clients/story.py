"""What the stories in Python share: how they print what they did, wait, and expect refusals. For Python 2.7 and 3.

A story prints `client: NAME VERSION`, `step: WHAT` after each part which worked, `refused: CODE: MESSAGE` for each
refusal as its client shows it, and at last `done`. An assertion which fails ends it with a traceback.
"""
from __future__ import print_function

import platform
import sys
import time

DEADLINE = 60
UNKNOWN_INSTANCE = 'i-00ffff00'
PUBLIC_KEY = (
    b'ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQDe0xQWhfqMHefYIViQzJ0NpsDHk7uUGpsDG708qNP6jTMsyPj6Jm/yxnnXnM4ljMwCY/xyEC'
    b'1pRnbppslawGdLtGemaMJNxOPCUPsEGy5PojGetPa2aKiISYky4/wljKcdalz76ftcllOAYWOK5EYoeQPBUPu7OiHegFYjKFOT7Q== '
    b'test@example.com'
)


def say(text):
    print(text)
    sys.stdout.flush()


def client(name, version):
    say('client: %s %s (Python %s)' % (name, version, '.'.join(platform.python_version_tuple()[:2])))


def step(what):
    say('step: %s' % what)


def done():
    say('done')


def wait(what, read, *wanted):
    """Reads until one of the wanted values comes."""
    end = time.time() + DEADLINE
    while True:
        state = read()
        if state in wanted:
            return state
        assert time.time() < end, '%s is %r, not %s' % (what, state, ' or '.join(repr(want) for want in wanted))
        time.sleep(0.2)


class Refusals(object):
    """Expects refusals: `read(error)` is the (status, code, message) of what the client raises."""

    def __init__(self, raised, read):
        self.raised = raised
        self.read = read

    def __call__(self, wanted, call, *args, **kwargs):
        try:
            call(*args, **kwargs)
        except self.raised as error:
            status, code, message = self.read(error)
            assert code == wanted, '%s instead of %s: %s' % (code, wanted, message)
            assert status is None or 400 <= int(status) < 500, status
            say('refused: %s: %s' % (code, message))
            return
        raise AssertionError('%r was not refused' % call)
